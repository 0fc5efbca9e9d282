using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class WalFailureTests
{
    [Fact]
    public async Task After_a_failed_sync_nothing_is_acknowledged_any_more_even_if_the_disk_recovers()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        TestDisk published = await store.AttachAsync("published", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 100_000, 1);
        store.Disk.SyncFault = new IOException("EIO");
        await AssertUnavailableAsync(disk.FlushAsync());
        await AssertFatalAsync(store);

        // The kernel may have dropped the pages: a second sync that succeeds proves nothing.
        store.Disk.SyncFault = null;
        await AssertUnavailableAsync(disk.FlushAsync());
        await AssertUnavailableAsync(disk.BeginWriteAsync(0, new byte[4096]));
        await AssertUnavailableAsync(disk.ZeroAsync(0, 4096));
        await AssertUnavailableAsync(published.FlushAsync());
        await disk.CheckAllAsync();
    }

    [Fact]
    public async Task A_write_that_the_disk_refuses_is_not_acknowledged_and_nothing_after_it()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(0, 4096, 1);
        store.Disk.WriteFault = new IOException("EIO");
        await AssertUnavailableAsync(disk.BeginWriteAsync(0, new byte[4096]));
        await AssertFatalAsync(store);
        store.Disk.WriteFault = null;
        await AssertUnavailableAsync(disk.BeginWriteAsync(0, new byte[4096]));
        await AssertUnavailableAsync(disk.FlushAsync());
        await bench.CrashAsync(store);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task All_that_wait_when_the_WAL_fails_are_told()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { WalBytes = 256 * 1024 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        TestDisk published = await store.AttachAsync("published", level: DurabilityLevel.Published);
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        await published.FillAsync(0, 512, 1);
        Task flush = published.FlushAsync();
        Task[] writes = [.. Enumerable.Range(0, 10).Select(i => disk.BeginWriteAsync(i * 65536, new byte[65536]))];
        store.Disk.SyncFault = new IOException("EIO");
        await AssertUnavailableAsync(disk.FlushAsync());
        await AssertUnavailableAsync(flush);
        await AssertUnavailableAsync(Task.WhenAll(writes));
    }

    // Nothing is lost by a full disk: writes wait a while, then fail, and go on when there is room.
    [Fact]
    public async Task A_full_disk_refuses_writes_after_its_patience_and_takes_them_again_when_there_is_room()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { FullDiskPatience = TimeSpan.FromSeconds(2) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        store.Disk.IsFull = true;
        int written = 0;
        StorageFaultException? full = null;
        for (; full is null && written < 100; written++)
        {
            try
            {
                await disk.FillAsync(written * 40_000, 40_000, (byte)(written + 1));
            }
            catch (StorageFaultException fault)
            {
                full = fault;
            }
        }

        Assert.Equal(FaultKind.Full, full?.Kind);
        Assert.False(store.Store.Fatal.IsCompleted);
        await disk.FlushAsync();
        await disk.CheckAllAsync();

        store.Disk.IsFull = false;
        for (int i = 0; i < 40; i++) await disk.FillAsync(i * 50_000, 50_000, (byte)(200 + (i % 50)));
        await disk.CheckAllAsync();
        bench.Objects.Outage = null;
        Assert.Equal(new StopReport(true, 0), await store.StopAsync(TimeSpan.FromHours(1)));
        await store.DisposeAsync();
        Assert.Equal(0, bench.Buffers.RentedBytes);
        await (await bench.OpenAsync("another host")).Find("disk", disk.Image).CheckAllAsync();
    }

    private static async Task AssertFatalAsync(RunningStore store)
    {
        StorageFaultException cause = await store.Store.Fatal.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.Equal(FaultKind.Unavailable, cause.Kind);
        Assert.Contains("EIO", cause.ToString(), StringComparison.Ordinal);
    }

    private static async Task AssertUnavailableAsync(Task operation)
    {
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => operation.WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        Assert.Equal(FaultKind.Unavailable, fault.Kind);
    }
}
