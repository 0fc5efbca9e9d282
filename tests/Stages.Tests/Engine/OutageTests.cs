using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class OutageTests
{
    [Theory]
    [InlineData(ObjectStoreErrorKind.Transient)]
    [InlineData(ObjectStoreErrorKind.Throttled)]
    [InlineData(ObjectStoreErrorKind.Denied)]
    [InlineData(ObjectStoreErrorKind.StoreMissing)]
    public async Task Journaled_exports_go_on_through_an_outage_and_drain_after_it(ObjectStoreErrorKind kind)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = kind;
        for (int i = 0; i < 60; i++)
        {
            await disk.FillAsync(i * 50_000, 50_000, (byte)(i + 1));
            if (i % 4 == 0) await disk.FlushAsync();
        }

        await disk.CheckAllAsync();
        await WaitUntilAsync(() => !store.Store.Status.BucketReachable);
        Assert.True(store.Store.Status.DirtyBytes > 60 * 50_000);
        bench.Objects.Outage = null;
        await WaitUntilAsync(() => store.Store.Status.DirtyBytes == 0);
        Assert.True(store.Store.Status.BucketReachable);
        await disk.CheckAllAsync();
        await bench.CrashAsync(store, loseWal: true);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    [Theory]
    [InlineData(ObjectStoreErrorKind.Transient)]
    [InlineData(ObjectStoreErrorKind.Denied)]
    public async Task A_published_FLUSH_waits_out_an_outage_and_others_do_not_wait_for_it(ObjectStoreErrorKind kind)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk published = await store.AttachAsync("published", level: DurabilityLevel.Published);
        TestDisk journaled = await store.AttachAsync("journaled");
        bench.Objects.Outage = kind;
        await published.FillAsync(0, 4096, 1);
        Task flush = published.FlushAsync();
        await journaled.FillAsync(0, 4096, 2);
        await journaled.FlushAsync();
        await published.FillAsync(4096, 4096, 3);
        Assert.False(flush.IsCompleted);
        bench.Objects.Outage = null;
        await flush;
    }

    // The room of the WAL is used up: writes wait, and nothing else does.
    [Fact]
    public async Task When_the_WAL_is_full_writes_wait_while_reads_and_FLUSHes_go_on()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { WalBytes = 512 * 1024, DirtyMemoryBytes = 64 * 1024 };
        RunningStore store = await bench.OpenAsync();
        TestDisk full = await store.AttachAsync("full");
        TestDisk other = await store.AttachAsync("other");
        await other.FillAsync(0, 4096, 5);
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        Task[] writes = [.. Enumerable.Range(0, 32).Select(i => full.FillAsync(i * 65536, 65536, (byte)(i + 1)))];
        await WaitUntilAsync(() => store.Store.Status.DirtyBytes > 400 * 1024);
        await Task.Delay(100, StoreBench.Cancellation);
        Assert.InRange(writes.Count(w => w.IsCompleted), 1, 9);
        Assert.All(writes, w => Assert.False(w.IsFaulted));
        await other.CheckAllAsync();
        await other.FlushAsync();
        await full.FlushAsync();

        bench.Objects.Outage = null;
        await Task.WhenAll(writes);
        await full.CheckAllAsync();
        Assert.InRange(store.Store.Status.DirtyBytes, 0, 512 * 1024);
        await bench.CrashAsync(store);
        await (await bench.OpenAsync()).Find("full", full.Image).CheckAllAsync();
    }

    // More was left in the WAL than a smaller budget allows: the start must not wait for itself.
    [Fact]
    public async Task A_WAL_larger_than_the_budget_of_the_next_start_is_replayed_and_drained()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        for (int i = 0; i < 30; i++) await disk.FillAsync(i * 100_000, 100_000, (byte)(i + 1));
        await bench.CrashAsync(store);
        bench.Objects.Outage = null;
        bench.Options = bench.Options with { WalBytes = 256 * 1024, DirtyMemoryBytes = 64 * 1024 };
        RunningStore again = await bench.OpenAsync();
        TestDisk replayed = again.Find("disk", disk.Image);
        await replayed.CheckAllAsync();
        await replayed.FillAsync(0, 65536, 0xAA);
        await WaitUntilAsync(() => again.Store.Status.DirtyBytes == 0);
        await replayed.CheckAllAsync();
    }

    private static async Task WaitUntilAsync(Func<bool> condition)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            TimeSpan waited = TimeProvider.System.GetElapsedTime(started);
            Assert.True(waited < StoreBench.Soon, "It did not come about in time.");
            await Task.Delay(10, StoreBench.Cancellation);
        }
    }
}
