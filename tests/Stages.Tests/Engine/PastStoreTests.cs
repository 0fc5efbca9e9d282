using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// What the store was at a moment, read beside the writer that goes on overwriting, settling and collecting.
public sealed class PastStoreTests
{
    private const int ExportBytes = 1 << 20;

    private static readonly TimeSpan Days = TimeSpan.FromDays(30);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Every_moment_that_is_retained_is_as_it_was(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = Days };
        var random = new Random(seed);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        var moments = new List<Moment>();
        for (int round = 0; round < 16; round++)
        {
            moments.Add(await ChangeAsync(bench, disk, random));
            if (random.Next(4) != 0) continue;
            await bench.CrashAsync(store, loseWal: random.Next(2) == 0);
            store = await bench.OpenAsync();
            disk = store.Find("disk", disk.Image);
        }

        await StoreBench.UntilAsync(() => store.Store.Space.SettledBytes > 0 && store.Store.Space.WaitingObjects > 0);
        foreach (Moment moment in moments) await AssertWasAsync(bench, moment);
        await disk.CheckAllAsync();
    }

    [Fact]
    public async Task What_has_left_the_window_goes_and_is_refused_and_what_is_within_stays()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = TimeSpan.FromHours(2) };
        var random = new Random(7);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        Moment old = await ChangeAsync(bench, disk, random);
        for (int round = 0; round < 4; round++) await ChangeAsync(bench, disk, random);
        await OverwriteAsync(bench, disk, random);
        Assert.True(store.Store.Space.WaitingObjects > 0);
        await AssertWasAsync(bench, old);

        bench.Time.Skip(TimeSpan.FromHours(3));
        Moment young = await ChangeAsync(bench, disk, random);
        await ChangeAsync(bench, disk, random);
        string first = ChainNames.Table(new ChainPosition(1, 2));
        await StoreBench.UntilAsync(() => bench.Objects.Peek(first) is null);

        await AssertWasAsync(bench, young);
        await StoreBench.RefusesAsync(FaultKind.NotFound, () => bench.OpenPastAsync(old.At));
    }

    [Fact]
    public async Task Without_retention_the_past_is_refused_in_one_sentence()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        Moment old = await ChangeAsync(bench, disk, new Random(8));
        for (int round = 0; round < 6; round++) await ChangeAsync(bench, disk, new Random(round));
        string first = ChainNames.Table(new ChainPosition(1, 2));
        await StoreBench.UntilAsync(() => bench.Objects.Peek(first) is null);

        var fault = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenPastAsync(old.At));
        Assert.Equal(FaultKind.NotFound, fault.Kind);
        Assert.Contains("Retention", fault.Message, StringComparison.Ordinal);
    }

    // Deleted exports, snapshots and sizes are as they were, too; and nothing can be written.
    [Fact]
    public async Task The_catalog_is_as_it_was()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = Days };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        await ChangeAsync(bench, disk, new Random(9));
        await store.Store.CreateSnapshotsAsync(["disk"], "s", StoreBench.Cancellation);
        Moment before = await ChangeAsync(bench, disk, new Random(10));
        await store.Store.DeleteExportAsync("disk", force: true, StoreBench.Cancellation);
        TestDisk other = await store.AttachAsync("other", ExportBytes, DurabilityLevel.Published);
        Moment after = await ChangeAsync(bench, other, new Random(11));

        await using PastStore then = await bench.OpenPastAsync(before.At);
        Assert.Equal(["disk", "disk@s"], then.List().Select(static export => export.Name));
        await using PastStore now = await bench.OpenPastAsync(after.At);
        Assert.Equal(["other"], now.List().Select(static export => export.Name));
        Assert.True(then.TryOpen("disk", out IBlockDevice? device));
        Assert.True(then.TryOpen("", out IBlockDevice? only));
        Assert.Same(device, only);
        Assert.True(device.Info.IsReadOnly);
        await device.FlushAsync(StoreBench.Cancellation);
        await device.ConfirmAsync();
        await StoreBench.RefusesAsync(FaultKind.Invalid, () => new TestDisk(device, bench.Buffers, before.Image).FillAsync(0, 512, 1));
        await AssertWasAsync(bench, before);
    }

    // What comes behind the moment, and the checkpoint behind that, may come after the walk has listed the chain.
    [Fact]
    public async Task A_checkpoint_that_comes_during_the_walk_is_no_reason_to_refuse()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = Days };
        var random = new Random(12);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        Moment moment = await ChangeAsync(bench, disk, random);
        int walks = 0;
        bench.Objects.AfterCall = async (call, _) =>
        {
            if (call is not { Operation: StoreOperation.List, Key: ChainNames.ChainPrefix } || Interlocked.Increment(ref walks) > 1) return;
            await ChangeUntilACheckpointAsync(bench, disk, random);
        };
        await AssertWasAsync(bench, moment);
        Assert.True(walks > 0);
    }

    // The writer died with the request under way; its successor knows nothing of the pages that the checkpoint names.
    [Fact]
    public async Task A_checkpoint_that_reaches_the_bucket_after_a_takeover_hides_no_moment()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = Days };
        var random = new Random(13);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        await OverwriteAsync(bench, disk, random);
        await bench.CrashAsync(store);

        // A second writer, so that all pages with its epoch are strange to who begins at a checkpoint of the first.
        store = await bench.OpenAsync();
        disk = store.Find("disk", disk.Image);
        await ChangeUntilACheckpointAsync(bench, disk, random);
        string late = Newest(bench)!;
        byte[] body = bench.Objects.Peek(late)!;
        Assert.True(ChainNames.TryParseCheckpoint(late, out ChainPosition at));
        Assert.Equal(2u, at.Epoch);
        Moment moment = await ChangeAsync(bench, disk, random);
        await bench.CrashAsync(store);
        foreach (string checkpoint in bench.Objects.Keys(ChainNames.CheckpointPrefix))
        {
            if (!ChainNames.TryParseCheckpoint(checkpoint, out ChainPosition of) || of.Epoch != at.Epoch) continue;
            bench.Objects.Remove(checkpoint);
            bench.Objects.Remove(ChainNames.CheckpointCopy(of));
        }

        string pages = $"{ChainNames.MapPrefix}{at.Epoch:D10}/";
        Assert.NotEmpty(bench.Objects.Keys(pages));
        store = await bench.OpenAsync();
        disk = store.Find("disk", disk.Image);
        bench.Objects.Plant(late, body);
        await OverwriteAsync(bench, disk, random);
        await StoreBench.UntilAsync(() => bench.Objects.Peek(late) is null && bench.Objects.Keys(pages).Count == 0);
        await AssertWasAsync(bench, moment);

        bench.Objects.Plant(late, body);
        await AssertWasAsync(bench, moment);
        await disk.CheckAllAsync();
    }

    [Fact]
    public async Task A_store_that_lost_its_checkpoints_is_refused_and_not_shown_as_an_older_or_an_empty_one()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { Retention = TimeSpan.FromMinutes(1) };
        var random = new Random(14);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published);
        await OverwriteAsync(bench, disk, random);
        bench.Time.Skip(TimeSpan.FromHours(1));
        await OverwriteAsync(bench, disk, random);
        string first = ChainNames.Table(new ChainPosition(1, 2));
        await StoreBench.UntilAsync(() => bench.Objects.Peek(first) is null);
        await store.StopAsync(TimeSpan.FromMinutes(5));
        await store.DisposeAsync();
        foreach (string checkpoint in bench.Objects.Keys(ChainNames.CheckpointPrefix)) bench.Objects.Remove(checkpoint);

        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenPastAsync(bench.Time.GetUtcNow()));
    }

    [Fact]
    public async Task A_store_that_is_not_there_is_not_made()
    {
        await using var bench = new StoreBench();
        await StoreBench.RefusesAsync(FaultKind.NotFound, () => bench.OpenPastAsync(bench.Time.GetUtcNow()));
        Assert.Empty(bench.Objects.Keys());
    }

    // Some writes, published; and the time at which the next ones have not begun.
    private static async Task<Moment> ChangeAsync(StoreBench bench, TestDisk disk, Random random)
    {
        for (int i = 0; i < 40; i++)
        {
            byte[] bytes = new byte[512 * random.Next(1, 48)];
            random.NextBytes(bytes);
            long offset = random.Next((ExportBytes - bytes.Length) / 512) * 512L;
            if (random.Next(8) == 0) await disk.ZeroAsync(offset, bytes.Length);
            else await disk.WriteAsync(offset, bytes);
        }

        await disk.FlushAsync();
        var moment = new Moment(bench.Time.GetUtcNow(), [.. disk.Image]);
        await Task.Delay(5, StoreBench.Cancellation);
        return moment;
    }

    // Everything that was there is dead, and a checkpoint that began later is stored.
    private static async Task OverwriteAsync(StoreBench bench, TestDisk disk, Random random)
    {
        byte[] bytes = new byte[ExportBytes / 8];
        for (int offset = 0; offset < ExportBytes; offset += bytes.Length)
        {
            random.NextBytes(bytes);
            await disk.WriteAsync(offset, bytes);
        }

        await disk.FlushAsync();
        for (int checkpoints = 0; checkpoints < 2; checkpoints++) await ChangeUntilACheckpointAsync(bench, disk, random);
    }

    private static Task ChangeUntilACheckpointAsync(StoreBench bench, TestDisk disk, Random random)
    {
        string? before = Newest(bench);
        return StoreBench.UntilAsync(async () =>
        {
            await ChangeAsync(bench, disk, random);
            return Newest(bench) != before;
        });
    }

    private static string? Newest(StoreBench bench) => bench.Objects.Keys(ChainNames.CheckpointPrefix) is [.., var newest] ? newest : null;

    private static async Task AssertWasAsync(StoreBench bench, Moment moment)
    {
        await using PastStore past = await bench.OpenPastAsync(moment.At);
        Assert.True(past.TryOpen("disk", out IBlockDevice? device));
        await new TestDisk(device, bench.Buffers, moment.Image).CheckAllAsync();
    }

    private sealed record Moment(DateTimeOffset At, byte[] Image);
}
