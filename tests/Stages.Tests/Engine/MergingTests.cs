using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// What small overwrites have scattered is put together again, within a budget, and stays what it is.
public sealed class MergingTests
{
    private const int ExportBytes = 4 << 20;

    // One page of the map, in tables of a sixteenth of it. Space is not what is settled for here.
    private static StoreOptions Scattering(StoreOptions options, double mergeShare) => options with
    {
        TableBytes = ExportBytes / 16,
        CheckpointIdle = TimeSpan.FromSeconds(1),
        DeleteGrace = TimeSpan.Zero,
        MergeShare = mergeShare,
        SettleLiveShare = 0.3,
    };

    [Fact]
    public async Task A_cold_scan_after_small_overwrites_and_a_rest_takes_about_as_many_gets_as_a_fresh_one()
    {
        int fresh = await ScanAsync(0.5, overwrites: 0);
        int scattered = await ScanAsync(0, overwrites: 1500);

        // On a busy machine there are rests in between, in which the only page is merged as well.
        int merged = await ScanAsync(4, overwrites: 1500);
        TestContext.Current.TestOutputHelper!.WriteLine($"GETs: {fresh} fresh, {scattered} scattered, {merged} merged");
        Assert.True(scattered > 5 * fresh, $"{scattered} GETs after overwrites, {fresh} before.");
        Assert.InRange(merged, 1, 2 * fresh);
    }

    // The budget: of 1.5 MiB that are written over 4 MiB, merging everything would be 2.7 times that.
    [Fact]
    public async Task Merging_rewrites_no_more_than_its_share_of_what_was_written()
    {
        await using var bench = new StoreBench();
        bench.Options = Scattering(bench.Options, 0.5) with { SettleLiveShare = 0 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes);
        await OverwriteAsync(disk, new Random(3), 200);
        await disk.FlushAsync();
        await StoreBench.UntilAsync(() => IsQuietAsync(bench, store));
        Assert.InRange(store.Store.Space.SettledBytes, 0, 200 * 8192 / 2);
    }

    // Clients write while pages are merged, the server is killed, and relatives share what is merged.
    [Theory]
    [InlineData(51)]
    [InlineData(52)]
    [InlineData(53)]
    public async Task Writes_kills_and_snapshots_during_merges_lose_nothing(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = Scattering(bench.Options, 10) with { CheckpointTables = 4, PublishInterval = TimeSpan.FromMilliseconds(200) };
        var random = new Random(seed);
        byte[] image = new byte[ExportBytes];
        byte[]? snapshot = null, clone = null;
        long merged = 0;
        for (int round = 0; round < 5; round++)
        {
            RunningStore store = await bench.OpenAsync();
            TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published, image);
            bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(3), ReplyLostRate = 0.02 };
            await OverwriteAsync(disk, random, 400);
            if (round == 1)
            {
                await store.Store.CreateSnapshotsAsync(["disk"], "s", StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
                snapshot = [.. image];
                await store.Store.CloneAsync("disk@s", "clone", null, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
                clone = [.. image];
            }

            if (clone is not null) await OverwriteAsync(store.Find("clone", clone), random, 50);
            // A pause, in which the page is cold enough to be merged; then writes that meet the merges.
            if (round is 0 or 2 or 4) await StoreBench.UntilAsync(() => store.Store.Space.SettledBytes > 0);
            for (int i = random.Next(20); i > 0; i--)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5), StoreBench.Cancellation);
                await OverwriteAsync(disk, random, 2);
            }

            merged += store.Store.Space.SettledBytes;
            await bench.CrashAsync(store);
            bench.Objects.Faults = StoreFaults.None;
        }

        Assert.True(merged > 0, "Nothing was merged.");
        RunningStore last = await bench.OpenAsync();
        await last.Find("disk", image).CheckAllAsync();
        await last.Find("disk@s", snapshot!).CheckAllAsync();
        await last.Find("clone", clone!).CheckAllAsync();
        await StoreBench.UntilAsync(() => IsQuietAsync(bench, last));
        Assert.Empty((await last.Store.ScrubAsync(new ScrubOptions(), static _ => { }, StoreBench.Cancellation)).Findings);
    }

    // GETs of data that a server without caches needs to read everything in order.
    private static async Task<int> ScanAsync(double mergeShare, int overwrites)
    {
        await using var bench = new StoreBench();
        bench.Options = Scattering(bench.Options, mergeShare);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes);
        var random = new Random(1);
        for (int at = 0; at < ExportBytes; at += 64 * 1024) await disk.WriteAsync(at, RandomBytes(random, 64 * 1024));
        await OverwriteAsync(disk, random, overwrites);
        await disk.FlushAsync();
        await StoreBench.UntilAsync(async () => await IsQuietAsync(bench, store) && (mergeShare == 0 || store.Store.Space.FragmentedPages == 0));
        await store.DisposeAsync();

        RunningStore cold = await bench.OpenAsync("another host");
        TestDisk again = cold.Find("disk", disk.Image);
        int before = bench.Objects.Calls.Count;
        for (int at = 0; at < ExportBytes; at += 64 * 1024) await again.CheckAsync(at, 64 * 1024);
        return bench.Objects.Calls.Skip(before).Count(call =>
            call.Operation == StoreOperation.Read && call.Key.StartsWith(ChainNames.ChainPrefix, StringComparison.Ordinal));
    }

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++) await disk.WriteAsync(random.Next(ExportBytes / 8192) * 8192L, RandomBytes(random, 8192));
    }

    private static byte[] RandomBytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    // Longer than any pause between a batch and the checkpoint that counts it.
    private static async Task<bool> IsQuietAsync(StoreBench bench, RunningStore store)
    {
        int before = bench.Objects.Calls.Count;
        await Task.Delay(TimeSpan.FromSeconds(1), StoreBench.Cancellation);
        return bench.Objects.Calls.Count == before && store.Store.Status.DirtyBytes == 0 && bench.Objects.Keys("checkpoint/").Count > 0;
    }
}
