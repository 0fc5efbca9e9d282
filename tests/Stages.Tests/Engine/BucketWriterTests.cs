using System.Text;
using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;

namespace ZeroFlow.Stages.Tests.Engine;

// Somebody can change what is in the bucket, but has no key. What is not what it was is refused by name; what was so once,
// all of it, cannot be told from the present without something that the bucket does not hold. SECURITY.md says the same.
public sealed class BucketWriterTests
{
    private const string Pattern = "a plaintext that nobody but the client may ever see. ";

    [Fact]
    public async Task Two_tables_that_change_places_are_refused()
    {
        await using var bench = new StoreBench();
        await WriteTablesAsync(bench, 3);
        string first = bench.TableKeys[0], second = bench.TableKeys[1];
        byte[] one = bench.Objects.Peek(first)!, two = bench.Objects.Peek(second)!;
        bench.Objects.Plant(first, two);
        bench.Objects.Plant(second, one);
        await RefusesAsync(bench, "wrong name");
    }

    [Fact]
    public async Task An_old_table_that_is_played_again_behind_the_newest_is_refused()
    {
        await using var bench = new StoreBench();
        await WriteTablesAsync(bench, 3);
        ChainPosition last = LastOf(bench);
        bench.Objects.Plant(ChainNames.Table(new ChainPosition(last.Epoch, last.Number + 1)), bench.Objects.Peek(bench.TableKeys[0])!);
        await RefusesAsync(bench, "wrong name");
    }

    [Fact]
    public async Task An_old_checkpoint_under_the_name_of_a_newer_one_is_refused()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { CheckpointIdle = TimeSpan.Zero, DeleteGrace = TimeSpan.FromHours(10) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 4096, 1);
        await disk.FlushAsync();
        await StoreBench.UntilAsync(() => bench.Objects.Keys("checkpoint/").Count > 0);
        string before = bench.Objects.Keys("checkpoint/")[^1];
        byte[] old = bench.Objects.Peek(before)!;
        await disk.FillAsync(8192, 4096, 2);
        await disk.FlushAsync();
        await StoreBench.UntilAsync(() => bench.Objects.Keys("checkpoint/")[^1] != before);
        await store.StopAsync(TimeSpan.FromHours(1));
        await store.DisposeAsync();

        bench.Objects.Plant(bench.Objects.Keys("checkpoint/")[^1], old);

        await RefusesAsync(bench, "checkpoint/");
    }

    // The same passphrase on both: it opens a key of each store's own.
    [Fact]
    public async Task An_object_of_another_store_is_refused_also_under_the_same_passphrase()
    {
        await using var bench = new StoreBench();
        await using var other = new StoreBench();
        await WriteTablesAsync(bench, 2);
        await WriteTablesAsync(other, 2);
        Assert.Equal(bench.TableKeys[0], other.TableKeys[0]);
        bench.Objects.Plant(bench.TableKeys[0], other.Objects.Peek(other.TableKeys[0])!);
        await RefusesAsync(bench, "store");
    }

    [Fact]
    public async Task The_identity_of_another_store_does_not_open_this_ones_objects()
    {
        await using var bench = new StoreBench();
        await using var other = new StoreBench();
        await WriteTablesAsync(bench, 2);
        await WriteTablesAsync(other, 2);
        bench.Objects.Plant("store.json", other.Objects.Peek("store.json")!);

        // With the local WAL it is another store's; without it, the chain is.
        Assert.Contains("another store", (await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync())).Message, StringComparison.Ordinal);
        await RefusesAsync(bench, "store", host: "elsewhere");
    }

    // Argon2id with a terabyte would end the process; with a kilobyte it would be guessed for nothing if that were honoured.
    [Theory]
    [InlineData(1 << 30, 1)]
    [InlineData(8, 1 << 30)]
    [InlineData(0, 0)]
    public async Task A_key_derivation_that_is_not_sensible_is_refused_before_it_is_run(int memoryKib, int passes)
    {
        await using var bench = new StoreBench();
        await WriteTablesAsync(bench, 1);
        string record = Encoding.UTF8.GetString(bench.Objects.Peek("store.json")!)
            .Replace("\"kdf-memory-kib\": 8,", $"\"kdf-memory-kib\": {memoryKib},", StringComparison.Ordinal)
            .Replace("\"kdf-passes\": 1,", $"\"kdf-passes\": {passes},", StringComparison.Ordinal);
        bench.Objects.Plant("store.json", Encoding.UTF8.GetBytes(record));
        await RefusesAsync(bench, "not sensible");
    }

    // The tables behind it cannot be reached any more, and are not applied as if nothing were missing.
    [Fact]
    public async Task A_table_that_is_missing_in_the_middle_ends_the_chain_there()
    {
        await using var bench = new StoreBench();
        await WriteTablesAsync(bench, 4);
        bench.Objects.Remove(bench.TableKeys[^2]);

        RunningStore store = await bench.OpenAsync("elsewhere");

        byte[] image = new byte[4 << 20];
        for (int i = 0; i < 2; i++) image.AsSpan(i * 65536, 4096).Fill((byte)(i + 1));
        await store.Find("disk", image).CheckAllAsync();
    }

    // What the bucket lost and the local WAL has is put back: as long as the WAL keeps it, nothing is lost.
    [Fact]
    public async Task The_newest_table_deleted_comes_back_from_a_WAL_that_still_has_it()
    {
        await using var bench = new StoreBench();
        TestDisk disk = await WriteTablesAsync(bench, 3, crash: true);
        bench.Objects.Remove(ChainNames.Table(LastOf(bench)));
        RunningStore again = await bench.OpenAsync();
        await again.Find("disk", disk.Image).CheckAllAsync();
    }

    // The WAL has given its space back, so it cannot fill the hole; but it knows that there is one.
    [Fact]
    public async Task A_bucket_that_went_back_behind_what_the_WAL_gave_up_is_refused()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 4096, 1);
        await disk.FlushAsync();
        Dictionary<string, byte[]> past = CopyOf(bench);
        int segment = (int)bench.Options.WalSegmentBytes;
        for (int i = 0; i < 6; i++)
        {
            await disk.FillAsync(i % 3 * segment, segment, (byte)(i + 2));
            await disk.FlushAsync();
        }

        await StoreBench.UntilAsync(() => !File.Exists(Path.Combine(bench.WalOf("a"), "0000000001.wal")));
        await bench.CrashAsync(store);
        Restore(bench, past);

        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync());
        Assert.Equal(FaultKind.Corrupt, fault.Kind);
        Assert.Contains("lacks record", fault.Message, StringComparison.Ordinal);
    }

    // A term ended that this machine has begun since: the bucket does not know the WAL's writer.
    [Fact]
    public async Task A_bucket_that_went_back_to_an_earlier_term_does_not_get_this_WAL_and_the_WAL_is_kept()
    {
        await using var bench = new StoreBench();
        await WriteTablesAsync(bench, 2);
        Dictionary<string, byte[]> past = CopyOf(bench);
        await (await bench.OpenAsync("elsewhere")).DisposeAsync();
        TestDisk disk = await WriteTablesAsync(bench, 2, crash: true, host: "b");
        Assert.NotNull(disk);
        Restore(bench, past);

        await (await bench.OpenAsync("b")).DisposeAsync();

        Assert.Contains(
            Directory.EnumerateDirectories(Path.GetDirectoryName(bench.WalOf("b"))!),
            place => place.StartsWith($"{bench.WalOf("b")}.stale-epoch", StringComparison.Ordinal)
                && Directory.EnumerateFiles(place, "*.wal").Any());
    }

    // This is what cannot be told: a whole bucket of yesterday, on a machine that has not seen today.
    [Fact]
    public async Task A_bucket_that_went_back_as_a_whole_is_not_noticed_by_a_machine_that_was_never_there()
    {
        await using var bench = new StoreBench();
        TestDisk then = await WriteTablesAsync(bench, 2);
        byte[] image = [.. then.Image];
        Dictionary<string, byte[]> past = CopyOf(bench);
        RunningStore later = await bench.OpenAsync();
        TestDisk disk = later.Find("disk", then.Image);
        await disk.FillAsync(0, 4096, 0x55);
        Assert.True((await later.StopAsync(TimeSpan.FromHours(1))).EverythingPublished);
        await later.DisposeAsync();
        Restore(bench, past);

        RunningStore fresh = await bench.OpenAsync("never-there");
        await fresh.Find("disk", image).CheckAllAsync();
    }

    // Whoever reads the bucket sees names, sizes and times, and no byte of what a client wrote, nor a name that it chose.
    [Fact]
    public async Task Neither_the_bucket_nor_the_local_log_holds_a_byte_of_what_was_written()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("confidential-export-name");
        byte[] text = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(Pattern, 4000)));
        await disk.WriteAsync(0, text);
        await disk.FlushAsync();
        AssertHidden(Directory.EnumerateFiles(bench.WalOf("a")).Where(file => file.EndsWith(".wal", StringComparison.Ordinal)).Select(ReadShared));
        Assert.True((await store.StopAsync(TimeSpan.FromHours(1))).EverythingPublished);
        await store.DisposeAsync();
        Assert.True(bench.TableKeys.Count > 0);
        AssertHidden(bench.Objects.Keys().Select(key => bench.Objects.Peek(key)!));
        AssertHidden(bench.Objects.Keys().Select(Encoding.UTF8.GetBytes));
    }

    private static void AssertHidden(IEnumerable<byte[]> places)
    {
        int looked = 0;
        foreach (byte[] bytes in places)
        {
            looked++;
            Assert.Equal(-1, bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(Pattern[..12])));
            Assert.Equal(-1, bytes.AsSpan().IndexOf("confidential"u8));
            Assert.Equal(-1, bytes.AsSpan().IndexOf("a passphrase for tests"u8));
        }

        Assert.True(looked > 0, "There was nothing to look into.");
    }

    private static byte[] ReadShared(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    // A table for each step: 4 KiB of a stamp of its own, published.
    private static async Task<TestDisk> WriteTablesAsync(StoreBench bench, int count, bool crash = false, string host = "a")
    {
        RunningStore store = await bench.OpenAsync(host);
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        for (int i = 0; i < count; i++)
        {
            await disk.FillAsync(i * 65536, 4096, (byte)(i + 1));
            await disk.FlushAsync();
        }

        if (crash)
        {
            await bench.CrashAsync(store);
        }
        else
        {
            Assert.True((await store.StopAsync(TimeSpan.FromHours(1))).EverythingPublished);
            await store.DisposeAsync();
        }

        return disk;
    }

    private static async Task RefusesAsync(StoreBench bench, string reason, string host = "a")
    {
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync(host));
        Assert.Contains(reason, fault.Message, StringComparison.Ordinal);
    }

    private static ChainPosition LastOf(StoreBench bench)
    {
        string[] parts = bench.TableKeys[^1].Split('/');
        return new ChainPosition(uint.Parse(parts[1], null), ulong.Parse(parts[2], null));
    }

    private static Dictionary<string, byte[]> CopyOf(StoreBench bench) =>
        bench.Objects.Keys().ToDictionary(key => key, key => bench.Objects.Peek(key)!);

    private static void Restore(StoreBench bench, Dictionary<string, byte[]> past)
    {
        foreach (string key in bench.Objects.Keys()) bench.Objects.Remove(key);
        foreach (var (key, body) in past) bench.Objects.Plant(key, body);
    }
}
