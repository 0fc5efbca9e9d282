using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class StopTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task A_stop_publishes_everything()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(1000, 5000, 7);
        Assert.Empty(bench.Objects.Keys("chain/").Skip(1));
        Assert.Equal(new StopReport(true, 0), await store.StopAsync(TimeSpan.FromHours(1)));
        await store.DisposeAsync();
        RunningStore other = await bench.OpenAsync("another host");
        await other.Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task A_stop_during_an_outage_is_bounded_says_what_is_left_and_the_next_start_has_it()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        await disk.FillAsync(0, 100_000, 1);
        StopReport report = await store.StopAsync(Patience);
        Assert.False(report.EverythingPublished);
        Assert.InRange(report.BytesLeft, 100_000, 200_000);
        await store.DisposeAsync();
        bench.Objects.Outage = null;
        RunningStore again = await bench.OpenAsync();
        await again.Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task A_stop_during_an_outage_fails_the_published_FLUSH_that_waits()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        bench.Objects.Outage = ObjectStoreErrorKind.Denied;
        await disk.FillAsync(0, 4096, 1);
        Task flush = disk.FlushAsync();
        await store.StopAsync(Patience);
        await AssertClosingAsync(flush);
    }

    [Fact]
    public async Task A_stop_during_an_outage_fails_the_writes_that_wait_for_room()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { WalBytes = 256 * 1024 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        Task[] writes = [.. Enumerable.Range(0, 10).Select(i => disk.BeginWriteAsync(i * 65536, new byte[65536]))];
        await store.StopAsync(Patience);
        Task all = Task.WhenAll(writes);
        await AssertClosingAsync(all);
        Assert.InRange(writes.Count(w => w.IsCompletedSuccessfully), 1, 9);
        Assert.Equal(10, writes.Count(w => w.IsCompleted));
    }

    // The proof of ownership needs the bucket; the stop must not wait for it beyond its time.
    [Fact]
    public async Task A_stop_is_bounded_while_acknowledgements_wait_for_a_proof_in_an_outage()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { StallThreshold = TimeSpan.FromMinutes(10) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        bench.Time.Skip(TimeSpan.FromMinutes(11));
        Task write = disk.BeginWriteAsync(0, new byte[4096]);
        await store.StopAsync(Patience);
        await AssertClosingAsync(write);
    }

    [Fact]
    public async Task After_a_stop_every_operation_says_that_the_store_is_closing_and_none_hangs()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        TestDisk published = await store.AttachAsync("published", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 4096, 1);
        await store.StopAsync(Patience);
        await AssertClosingAsync(disk.BeginWriteAsync(0, new byte[512]));
        await AssertClosingAsync(disk.ZeroAsync(0, 512));
        await AssertClosingAsync(disk.FlushAsync());
        await AssertClosingAsync(published.FlushAsync());
        await AssertClosingAsync(
            store.Store.EnsureExportAsync("new", 4096, DurabilityLevel.Journaled, StoreBench.Cancellation));
    }

    // The disk refuses the last sync; the bucket takes what there is, and the stop ends.
    [Fact]
    public async Task A_disk_that_fails_at_the_last_sync_does_not_keep_the_store_from_stopping()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(0, 4096, 1);
        store.Disk.SyncFault = new IOException("EIO");
        await store.StopAsync(TimeSpan.FromHours(1));
        Assert.True(store.Store.Fatal.IsCompletedSuccessfully);
        await store.DisposeAsync();
        RunningStore other = await bench.OpenAsync("another host");
        await other.Find("disk", disk.Image).CheckAllAsync();
    }

    // Each writer stops at its first refusal; whatever was answered before is in the bucket.
    [Fact]
    public async Task A_stop_under_load_answers_everybody_and_publishes_what_was_answered()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        Task<int>[] writers = [.. Enumerable.Range(0, 8).Select(w => Task.Run(() => WriteUntilClosedAsync(disk, w)))];
        await Task.Delay(50, StoreBench.Cancellation);
        StopReport report = await store.StopAsync(TimeSpan.FromHours(1));
        int[] answered = await Task.WhenAll(writers).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.All(answered, count => Assert.InRange(count, 1, int.MaxValue));
        Assert.Equal(new StopReport(true, 0), report);
        await store.DisposeAsync();
        Assert.Equal(0, bench.Buffers.RentedBytes);

        // A write that was refused may be there all the same: the image takes it over where it is.
        RunningStore other = await bench.OpenAsync("another host");
        TestDisk after = other.Find("disk", disk.Image);
        for (int w = 0; w < 8; w++)
        {
            byte[] slot = await after.ReadAsync(w * 65536, 8192);
            Assert.Contains(BitConverter.ToInt32(slot), new[] { answered[w], answered[w] + 1 });
        }
    }

    // Giving up the wait gives nothing else up: room and buffers come back, and the store goes on.
    [Fact]
    public async Task Operations_that_are_cancelled_while_they_wait_leave_nothing_behind()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { WalBytes = 256 * 1024, PublishInterval = TimeSpan.FromSeconds(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        using var impatient = new CancellationTokenSource();
        Task[] operations =
        [
            .. Enumerable.Range(0, 10).Select(i =>
                disk.Device.WriteAsync(i * 65536, bench.Buffers.Rent(65536), false, impatient.Token).AsTask()),
            .. Enumerable.Range(0, 10).Select(_ => disk.Device.FlushAsync(impatient.Token).AsTask()),
        ];
        await Task.Delay(100, StoreBench.Cancellation);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Task.WhenAll(operations).WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        Assert.DoesNotContain(operations, o => o.IsFaulted);
        bench.Objects.Outage = null;
        await disk.FillAsync(0, 1 << 20, 7);
        await disk.FlushAsync();
        await disk.CheckAsync(0, 1 << 20);
        Assert.Equal(new StopReport(true, 0), await store.StopAsync(TimeSpan.FromHours(1)));
        await store.DisposeAsync();
        Assert.Equal(0, bench.Buffers.RentedBytes);
    }

    private static async Task<int> WriteUntilClosedAsync(TestDisk disk, int writer)
    {
        for (int number = 1; ; number++)
        {
            byte[] bytes = new byte[8192];
            BitConverter.TryWriteBytes(bytes, number);
            try
            {
                await disk.WriteAsync(writer * 65536, bytes);
            }
            catch (StorageFaultException closing) when (closing.Kind == FaultKind.Closing)
            {
                return number - 1;
            }
        }
    }

    private static async Task AssertClosingAsync(Task operation)
    {
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => operation.WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        Assert.Equal(FaultKind.Closing, fault.Kind);
    }
}
