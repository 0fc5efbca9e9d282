using System.Runtime.CompilerServices;
using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// A scrub is silent about a healthy store, and finds each kind of damage and whom it hits.
public sealed class ScrubTests
{
    private const int Bytes = 2 << 20;

    [Fact]
    public async Task A_healthy_store_with_snapshots_is_without_findings_also_while_it_works()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        var random = new Random(1);
        for (int round = 0; round < 4; round++)
        {
            await OverwriteAsync(disk, random, 100);
            await store.Store.CreateSnapshotsAsync([], $"s{round}", StoreBench.Cancellation);
            Task working = OverwriteAsync(disk, random, 100);
            await CheckSilentAsync(store);
            await working;
        }

        await store.Store.DeleteExportAsync("disk@s1", false, StoreBench.Cancellation);
        await bench.CrashAsync(store);
        RunningStore again = await bench.OpenAsync();
        await CheckSilentAsync(again);
    }

    [Theory]
    [InlineData("flip")]
    [InlineData("truncate")]
    [InlineData("remove")]
    public async Task Damage_of_a_table_is_told_with_the_ranges_that_it_hits_and_no_others(string how)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await WriteRandomAsync(disk, 0, 65536, 1);
        await PublishAsync(store);
        string table = Assert.Single(bench.TableKeys, key => bench.Objects.Peek(key)!.Length > 65536);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        await WriteRandomAsync(disk, 0, 65536, 2);
        await WriteRandomAsync(disk, 1 << 20, 4096, 3);
        await PublishAsync(store);
        await bench.CrashAsync(store);
        store = await bench.OpenAsync();
        Damage(bench, table, how);

        ScrubReport report = await ScrubAsync(store, new ScrubOptions());

        // The export was overwritten since: only its snapshot has lost something.
        DamagedRange[] ranges = [.. report.Findings.Where(f => f.ObjectKey == table).SelectMany(f => f.Ranges)];
        Assert.NotEmpty(ranges);
        Assert.All(ranges, range => Assert.Equal(("disk@s", false), (range.Export, range.IsRepaired)));
        Assert.Equal(how == "flip" ? 16384 : 65536, ranges.Sum(range => range.Length));
        Assert.All(ranges, range => Assert.InRange(range.Offset, 0, 65535));
        await store.Find("disk", disk.Image).CheckAllAsync();
        await Assert.ThrowsAsync<StorageFaultException>(() => store.Find("disk@s", disk.Image).ReadAsync(0, 65536));
    }

    [Theory]
    [InlineData("flip")]
    [InlineData("truncate")]
    [InlineData("remove")]
    public async Task What_a_cache_still_has_is_written_anew(string how)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await WriteRandomAsync(disk, 0, 65536, 1);
        await PublishAsync(store);
        string table = Assert.Single(bench.TableKeys, key => bench.Objects.Peek(key)!.Length > 65536);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        byte[] image = [.. disk.Image];
        await disk.CheckAllAsync();
        Damage(bench, table, how);

        ScrubReport report = await ScrubAsync(store, new ScrubOptions { Repairs = true });

        ScrubFinding finding = Assert.Single(report.Findings, f => f.ObjectKey == table && f.Problem != ScrubProblem.BrokenChain);
        Assert.Equal(["disk", "disk@s"], finding.Ranges.Select(range => range.Export).Distinct().Order());
        Assert.All(finding.Ranges, range => Assert.True(range.IsRepaired));

        // The chain itself needs the damaged table no more once a checkpoint stands behind it.
        await disk.FillAsync(1 << 20, 4096, 9);
        await PublishAsync(store);
        await StoreBench.UntilAsync(async () => (await ScrubAsync(store, new ScrubOptions())).Findings.Count == 0);
        await bench.CrashAsync(store);
        RunningStore again = await bench.OpenAsync();
        await again.Find("disk", disk.Image).CheckAllAsync();
        await again.Find("disk@s", image).CheckAllAsync();
    }

    [Fact]
    public async Task A_wrong_count_is_found_and_corrected()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { TableBytes = 1 << 20 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await WriteRandomAsync(disk, 0, 65536, 1);
        await PublishAsync(store);
        await StoreBench.UntilAsync(() => bench.Objects.Keys("checkpoint/").Count > 0 && store.Store.Space.LiveBytes == 65536);
        StoreState state = Opened(Runtime(store.Store)).State;
        state.Tables.All().First(t => t.Table.LiveBytes == 65536).Table.AddLive(-4096);

        ScrubReport report = await ScrubAsync(store, new ScrubOptions { Repairs = true });

        Assert.Equal(ScrubProblem.WrongCount, Assert.Single(report.Findings).Problem);
        Assert.Equal(65536, store.Store.Space.LiveBytes);
        await CheckSilentAsync(store);
    }

    [Theory]
    [InlineData("map/")]
    [InlineData("checkpoint/")]
    [InlineData("root/")]
    public async Task Damage_of_the_map_and_of_checkpoints_is_found(string prefix)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { TableBytes = 1 << 20 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await WriteRandomAsync(disk, 0, 65536, 1);
        await PublishAsync(store);
        await StoreBench.UntilAsync(() => bench.Objects.Keys(prefix).Count > 0 && store.Store.Space.LiveBytes == 65536);
        string key = bench.Objects.Keys(prefix)[^1];
        bench.Objects.FlipByte(key, bench.Objects.Peek(key)!.Length / 2 + 70);

        ScrubReport report = await ScrubAsync(store, new ScrubOptions());

        ScrubFinding finding = Assert.Single(report.Findings);
        Assert.Equal(prefix == "map/" ? ScrubProblem.Damaged : ScrubProblem.BrokenChain, finding.Problem);
        Assert.Equal(prefix == "map/", finding.Ranges.Any(range => range.Export == "disk"));
        Assert.Equal(prefix != "map/", report.CountsChecked);
    }

    [Fact]
    public async Task One_scrub_at_a_time_and_a_bucket_that_is_away_is_no_finding()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await WriteRandomAsync(disk, 0, 65536, 1);
        await PublishAsync(store);
        bench.Objects.Outage = ObjectStoreErrorKind.Denied;
        Task<ScrubReport> first = store.Store.ScrubAsync(new ScrubOptions(), static _ => { }, StoreBench.Cancellation);
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.ScrubAsync(new ScrubOptions(), static _ => { }, StoreBench.Cancellation));
        await StoreBench.RefusesAsync(FaultKind.Unavailable, () => first.WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        bench.Objects.Outage = null;
        await CheckSilentAsync(store);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_runtime")]
    private static extern ref StoreRuntime Runtime(BlockStore store);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_opened")]
    private static extern ref OpenedStore Opened(StoreRuntime runtime);

    private static async Task CheckSilentAsync(RunningStore store)
    {
        ScrubReport report = await ScrubAsync(store, new ScrubOptions());
        Assert.Empty(report.Findings);
        Assert.True(report.Tables > 0 && report.Frames > 0);
    }

    private static Task<ScrubReport> ScrubAsync(RunningStore store, ScrubOptions options) =>
        store.Store.ScrubAsync(options, static _ => { }, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    private static Task PublishAsync(RunningStore store) =>
        store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    private static void Damage(StoreBench bench, string key, string how)
    {
        switch (how)
        {
            case "flip":
                bench.Objects.FlipByte(key, 128 + 100);
                break;
            case "truncate":
                bench.Objects.Truncate(key, 1000);
                break;
            default:
                bench.Objects.Remove(key);
                break;
        }
    }

    private static Task WriteRandomAsync(TestDisk disk, long offset, int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return disk.WriteAsync(offset, bytes);
    }

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            long at = random.Next(Bytes / 4096) * 4096L;
            if (random.Next(10) == 0) await disk.ZeroAsync(at, 4096);
            else await WriteRandomAsync(disk, at, 4096, random.Next());
        }
    }
}
