using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// Exports without a write cache, for clients that do not look at what becomes of a FLUSH.
public sealed class WriteThroughTests
{
    private static readonly ExportPatch On = new() { WriteThrough = true };
    private static readonly ExportPatch Off = new() { WriteThrough = false };

    [Fact]
    public async Task A_published_write_is_answered_when_the_bucket_has_it()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await store.Store.AlterExportAsync("disk", On, StoreBench.Cancellation);
        await disk.FillAsync(0, 70_000, 1);
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        Task written = disk.BeginWriteAsync(4096, new byte[4096]);
        Task zeroed = disk.Device.ZeroAsync(new BlockRange(16_384, 4096), false, StoreBench.Cancellation).AsTask();
        await Task.Delay(300, StoreBench.Cancellation);
        Assert.False(written.IsCompleted);
        Assert.False(zeroed.IsCompleted);

        bench.Objects.Outage = null;
        await Task.WhenAll(written, zeroed).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        disk.Image.AsSpan(4096, 4096).Clear();
        disk.Image.AsSpan(16_384, 4096).Clear();
        await disk.FillAsync(100_000, 512, 2);
        await bench.CrashAsync(store, loseWal: true);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    // The writer is fenced between the write and its answer: the client must see the write fail.
    [Fact]
    public async Task A_write_that_a_takeover_overtakes_fails()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk old = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await first.Store.AlterExportAsync("disk", On, StoreBench.Cancellation);
        await old.FillAsync(0, 4096, 1);
        RunningStore second = await bench.OpenAsync("b");

        await StoreBench.RefusesAsync(FaultKind.Fenced, () => old.BeginWriteAsync(0, new byte[4096]));
        await second.Find("disk", old.Image).CheckAllAsync();
    }

    [Fact]
    public async Task It_is_set_under_attached_clients_and_taken_back_only_without_them()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        using (disk.Device.Attach())
        {
            Assert.True((await store.Store.AlterExportAsync("disk", On, StoreBench.Cancellation)).WriteThrough);
            await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.AlterExportAsync("disk", Off, StoreBench.Cancellation));
            Assert.True(disk.Device.Info.WriteThrough);
        }

        Assert.False((await store.Store.AlterExportAsync("disk", Off, StoreBench.Cancellation)).WriteThrough);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task It_outlives_restarts_and_clones_have_it(bool losesWal)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { CheckpointTables = 1 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await store.Store.AlterExportAsync("disk", On, StoreBench.Cancellation);
        await store.Store.CreateSnapshotsAsync(["disk"], "s", StoreBench.Cancellation);
        await store.Store.CloneAsync("disk@s", "clone", null, StoreBench.Cancellation);
        await disk.FlushAsync();
        await bench.CrashAsync(store, losesWal);

        RunningStore again = await bench.OpenAsync();
        Assert.True(again.Find("disk", disk.Image).Device.Info.WriteThrough);
        Assert.True(again.Find("clone", disk.Image).Device.Info.WriteThrough);
    }
}
