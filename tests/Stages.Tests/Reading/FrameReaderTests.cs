using System.Diagnostics.Metrics;
using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class FrameReaderTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_nearest_tier_that_has_a_frame_answers()
    {
        await using var rig = new FrameReaderRig(hasDisk: true);
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        await rig.ReadAsync(frame);
        Assert.Equal(1, rig.Bucket.Gets);
        await rig.ReadAsync(frame);
        await rig.Disk!.DrainAsync(Stop);
        rig.Memory.Clear();
        await rig.ReadAsync(frame);
        await rig.ReadAsync(frame);
        Assert.Equal(1, rig.Bucket.Gets);
        Assert.Equal((2, 2), (rig.Memory.Hits, rig.Memory.Misses));
        Assert.Equal((1, 1), (rig.Disk.Hits, rig.Disk.Misses));
        Assert.Equal((1, 0), (rig.Reader.BucketHits, rig.Reader.BucketMisses));
    }

    [Fact]
    public async Task A_hit_in_memory_completes_on_the_spot_and_allocates_nothing()
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        await rig.ReadAsync(frame);
        long allocated = Hit(rig.Reader, frame, 2000);
        allocated = Math.Min(allocated, Hit(rig.Reader, frame, 2000));
        Assert.Equal(0, allocated);

        static long Hit(FrameReader reader, in FrameRef frame, int rounds)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < rounds; i++)
            {
                ValueTask<BufferLease> read = reader.ReadAsync(frame, CancellationToken.None);
                if (!read.IsCompletedSuccessfully) return long.MaxValue;
#pragma warning disable xUnit1031 // The task is complete.
                read.Result.Release();
#pragma warning restore xUnit1031
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    [Fact]
    public async Task Concurrent_misses_of_one_frame_share_one_get()
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        var gate = new TaskCompletionSource();
        rig.Bucket.Hold = (_, _) => gate.Task;
        Task[] reads = [.. Enumerable.Range(0, 20).Select(_ => rig.ReadAsync(frame))];
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        Assert.DoesNotContain(reads, static read => read.IsCompleted);
        gate.SetResult();
        await Task.WhenAll(reads);
        Assert.Equal(1, rig.Bucket.Gets);
    }

    [Fact]
    public async Task Who_gives_up_does_not_take_the_fetch_from_the_others()
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        var gate = new TaskCompletionSource();
        rig.Bucket.Hold = (_, _) => gate.Task;
        using var impatience = new CancellationTokenSource();
        Task first = rig.ReadAsync(frame, impatience.Token);
        Task second = rig.ReadAsync(frame);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        await impatience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        gate.SetResult();
        await second;
        Assert.Equal(1, rig.Bucket.Gets);
    }

    [Fact]
    public async Task A_fetch_that_everybody_gave_up_still_fills_the_cache()
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        var gate = new TaskCompletionSource();
        rig.Bucket.Hold = (_, _) => gate.Task;
        using var impatience = new CancellationTokenSource();
        Task read = rig.ReadAsync(frame, impatience.Token);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        await impatience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read);
        gate.SetResult();
        await FrameReaderRig.UntilAsync(() => rig.Memory.Contains(frame.Key));
        await rig.ReadAsync(frame);
        Assert.Equal(1, rig.Bucket.Gets);
    }

    [Fact]
    public async Task A_corrupt_entry_of_the_disk_cache_is_replaced_from_the_bucket()
    {
        await using var rig = new FrameReaderRig(hasDisk: true);
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        rig.Disk!.Insert(frame.Key, new byte[frame.SealedBytes]);
        await rig.Disk.DrainAsync(Stop);
        await rig.ReadAsync(frame);
        Assert.Equal(1, rig.Bucket.Gets);
        await rig.Disk.DrainAsync(Stop);
        rig.Memory.Clear();
        await rig.ReadAsync(frame);
        Assert.Equal(1, rig.Bucket.Gets);
    }

    [Fact]
    public async Task Bytes_that_were_spoilt_on_the_way_are_fetched_once_more()
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(0, 1, 4096)[0];
        rig.Bucket.Spoil = static (number, _, bytes) => bytes.Span[100] ^= (byte)(number == 1 ? 1 : 0);
        await rig.ReadAsync(frame);
        Assert.Equal(2, rig.Bucket.Gets);
    }

    [Fact]
    public async Task Bytes_that_stay_wrong_fail_their_frame_and_no_other_and_nothing_is_kept()
    {
        await using var rig = new FrameReaderRig(hasDisk: true);
        FrameRef[] frames = rig.Bucket.AddTable(0, 3, 4096);
        long bad = frames[1].ObjectOffset + 50;
        rig.Bucket.Spoil = (_, offset, bytes) =>
        {
            if (offset <= bad && bad < offset + bytes.Length) bytes.Span[(int)(bad - offset)] ^= 1;
        };
        var leases = new BufferLease?[3];
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => rig.Reader.ReadManyAsync(frames, leases, Stop).AsTask());
        Assert.Equal(FaultKind.Corrupt, fault.Kind);
        Assert.All(leases, Assert.Null);
        Assert.Equal(2, rig.Bucket.Gets);
        await FrameReaderRig.UntilAsync(() => rig.Memory.Contains(frames[2].Key));
        await rig.ReadManyAsync(frames[0], frames[2]);
        Assert.Equal(2, rig.Bucket.Gets);
        Assert.False(rig.Memory.Contains(frames[1].Key));
        await rig.Disk!.DrainAsync(Stop);
        Assert.Null(await rig.Disk.TryReadAsync(frames[1].Key, frames[1].SealedBytes));
        Assert.Equal(1, rig.Reader.BucketMisses);
    }

    [Theory]
    [InlineData(ObjectStoreErrorKind.Transient, FaultKind.Unavailable)]
    [InlineData(ObjectStoreErrorKind.Throttled, FaultKind.Unavailable)]
    [InlineData(ObjectStoreErrorKind.ShortBody, FaultKind.Unavailable)]
    [InlineData(ObjectStoreErrorKind.Denied, FaultKind.Unavailable)]
    [InlineData(ObjectStoreErrorKind.StoreMissing, FaultKind.Unavailable)]
    [InlineData(ObjectStoreErrorKind.Invalid, FaultKind.Invalid)]
    [InlineData(ObjectStoreErrorKind.ObjectMissing, FaultKind.Corrupt)]
    public async Task A_failed_get_says_what_and_where_and_is_not_remembered(ObjectStoreErrorKind cause, FaultKind kind)
    {
        await using var rig = new FrameReaderRig();
        FrameRef frame = rig.Bucket.AddTable(7, 1, 4096)[0];
        rig.Bucket.Hold = (_, _) => Task.FromException(new ObjectStoreException(cause, "It did not work."));
        var fault = await Assert.ThrowsAsync<StorageFaultException>(() => rig.ReadAsync(frame));
        Assert.Equal(kind, fault.Kind);
        Assert.Contains("table-7", fault.Message, StringComparison.Ordinal);
        rig.Bucket.Hold = static (_, _) => Task.CompletedTask;
        await rig.ReadAsync(frame);
    }

    [Fact]
    public async Task Gets_under_way_are_bounded()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { GetsMax = 4 });
        FrameRef[] frames = rig.Bucket.AddTable(0, 60, 4096, gap: 20_000);
        rig.Bucket.Hold = static (_, _) => Task.Delay(1, Stop);
        await Task.WhenAll(frames.Select(frame => rig.ReadAsync(frame)));
        Assert.Equal(60, rig.Bucket.Gets);
        Assert.InRange(rig.Bucket.ActiveMax, 1, 4);
    }

    // Room for two buffers of 8 KiB, the size class of a sealed frame of 4 KiB and a bit.
    [Fact]
    public async Task Buffers_of_gets_under_way_are_bounded()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { FetchBytes = 16 << 10 });
        FrameRef[] frames = rig.Bucket.AddTable(0, 40, 4096, gap: 20_000);
        rig.Bucket.Hold = static (_, _) => Task.Delay(1, Stop);
        await Task.WhenAll(frames.Select(frame => rig.ReadAsync(frame)));
        Assert.InRange(rig.Bucket.ActiveMax, 1, 2);
    }

    [Fact]
    public async Task Closing_ends_waiting_reads_and_refuses_new_ones()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 2, 4096);
        rig.Bucket.Hold = static (_, _) => new TaskCompletionSource().Task;
        Task read = rig.ReadAsync(frames[0]);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        await rig.Reader.DisposeAsync();
        var waiting = await Assert.ThrowsAsync<StorageFaultException>(() => read);
        var late = await Assert.ThrowsAsync<StorageFaultException>(() => rig.ReadAsync(frames[1]));
        Assert.Equal((FaultKind.Closing, FaultKind.Closing), (waiting.Kind, late.Kind));
    }

    [Fact]
    public async Task Instruments_show_each_tier()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 2, 4096);
        await rig.ReadAsync(frames[0]);
        await rig.ReadAsync(frames[0]);
        await rig.ReadAsync(frames[1]);
        var seen = new Dictionary<string, long>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (ReferenceEquals(instrument.Meter, rig.Metrics.Meter)) self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            string[] names = [instrument.Name, .. tags.ToArray().Select(static tag => (string)tag.Value!)];
            seen[string.Join('/', names)] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();
        Assert.Equal(1, seen["zeroflow.cache.requests/memory/hit"]);
        Assert.Equal(2, seen["zeroflow.cache.requests/memory/miss"]);
        Assert.Equal(2, seen["zeroflow.cache.requests/bucket/hit"]);
        Assert.Equal(0, seen["zeroflow.cache.requests/bucket/miss"]);
        Assert.Equal(rig.Memory.Bytes, seen["zeroflow.cache.bytes/memory"]);
        Assert.Equal(0, seen["zeroflow.readahead.bytes"]);
    }

    // Small caches, failing and slow GETs, impatient readers, prefetches: right bytes or a fault, no buffer lost.
    [Fact]
    public async Task Under_load_with_faults_every_read_is_right_or_fails_and_no_buffer_is_lost()
    {
        await using var rig = new FrameReaderRig(
            new FrameReaderOptions { GetsMax = 3, ReadAheadGetsMax = 2, ReadAheadBytes = 128 << 10 },
            hasDisk: true, memoryBytes: 128 << 10);
        FrameRef[] frames = [.. rig.Bucket.AddTable(0, 200, 4096), .. rig.Bucket.AddTable(1, 50, 16_384)];
        rig.Bucket.Hold = static (_, offset) => (offset / 4112 % 7) switch
        {
            0 => Task.Delay(1, Stop),
            1 when Random.Shared.Next(4) == 0 => Task.FromException(
                new ObjectStoreException(ObjectStoreErrorKind.Transient, "Now and then it fails.")),
            _ => Task.CompletedTask,
        };
        rig.Bucket.Spoil = static (number, _, bytes) => bytes.Span[40] ^= (byte)(number % 10 == 0 ? 1 : 0);
        int served = 0;
        await Task.WhenAll(Enumerable.Range(0, 6).Select(worker => Task.Factory.StartNew(
            () => WorkAsync(worker), Stop, TaskCreationOptions.None, TaskScheduler.Default).Unwrap()));
        Assert.NotEqual(0, served);

        async Task WorkAsync(int worker)
        {
            var random = new Random(worker);
            for (int round = 0; round < 300; round++)
            {
                int first = random.Next(frames.Length - 8);
                using var impatience = new CancellationTokenSource();
                if (random.Next(8) == 0) impatience.CancelAfter(TimeSpan.FromMilliseconds(1));
                try
                {
                    if (random.Next(4) == 0) rig.Reader.Prefetch(frames[first..(first + 8)]);
                    else if (random.Next(3) == 0) await rig.ReadManyAsync(frames[first..(first + random.Next(1, 8))]);
                    else await rig.ReadAsync(frames[first], impatience.Token);
                    Interlocked.Increment(ref served);
                }
                catch (StorageFaultException fault)
                {
                    Assert.Contains(fault.Kind, new[] { FaultKind.Unavailable, FaultKind.Corrupt });
                }
                catch (OperationCanceledException)
                {
                    Assert.True(impatience.IsCancellationRequested);
                }
            }
        }
    }
}
