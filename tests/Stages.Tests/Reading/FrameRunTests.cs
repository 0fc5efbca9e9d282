using System.Collections.Concurrent;
using Xunit;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class FrameRunTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Adjacent_frames_share_one_get()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 10, 4096);
        await rig.ReadManyAsync(frames[7], frames[3], frames[4], frames[6], frames[5]);
        Assert.Equal([("table-0", frames[3].ObjectOffset, 5 * 4112)], rig.Bucket.Log);
    }

    [Fact]
    public async Task A_small_gap_is_fetched_along_and_a_large_one_is_not()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { GapBytesMax = 2 * 4112 });
        FrameRef[] frames = rig.Bucket.AddTable(0, 10, 4096);
        await rig.ReadManyAsync(frames[0], frames[3], frames[7]);
        Assert.Equal(
            [("table-0", 0, 4 * 4112), ("table-0", frames[7].ObjectOffset, 4112)],
            rig.Bucket.Log.OrderBy(static get => get.Offset));
    }

    [Fact]
    public async Task Runs_end_at_tables_and_at_their_longest_length()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { RunBytesMax = 4 * 4112 });
        FrameRef[] first = rig.Bucket.AddTable(0, 10, 4096);
        FrameRef[] second = rig.Bucket.AddTable(1, 2, 4096);
        await rig.ReadManyAsync([.. first, .. second]);
        Assert.Equal(
            [("table-0", 0, 16_448), ("table-0", 16_448, 16_448), ("table-0", 32_896, 8224), ("table-1", 0, 8224)],
            rig.Bucket.Log.OrderBy(static get => get.Key, StringComparer.Ordinal).ThenBy(static get => get.Offset));
    }

    [Fact]
    public async Task A_frame_longer_than_a_run_is_fetched_alone()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { RunBytesMax = 1000 });
        await rig.ReadManyAsync(rig.Bucket.AddTable(0, 3, 4096));
        Assert.Equal(3, rig.Bucket.Gets);
    }

    [Fact]
    public async Task Only_what_is_not_at_hand_or_on_its_way_is_fetched()
    {
        await using var rig = new FrameReaderRig(hasDisk: true);
        FrameRef[] frames = rig.Bucket.AddTable(0, 6, 4096, gap: 20_000);
        await rig.ReadAsync(frames[0]);
        await rig.Disk!.DrainAsync(Stop);
        rig.Memory.Clear();
        await rig.ReadAsync(frames[1]);
        var gate = new TaskCompletionSource();
        rig.Bucket.Hold = (_, _) => gate.Task;
        Task underWay = rig.ReadAsync(frames[2]);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        Task many = rig.ReadManyAsync([.. frames, frames[2], frames[5]]);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 4);
        gate.SetResult();
        await Task.WhenAll(underWay, many);
        Assert.Equal(6, rig.Bucket.Gets);
    }

    [Fact]
    public async Task When_one_frame_cannot_be_had_none_is_handed_out()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 4, 4096, gap: 20_000);
        rig.Bucket.Hold = (_, offset) => offset == frames[1].ObjectOffset
            ? Task.FromException(new ObjectStoreException(ObjectStoreErrorKind.Transient, "No."))
            : Task.CompletedTask;
        var leases = new BufferLease?[4];
        await Assert.ThrowsAsync<Pipeline.Faults.StorageFaultException>(
            () => rig.Reader.ReadManyAsync(frames, leases, Stop).AsTask());
        Assert.All(leases, Assert.Null);
    }

    [Fact]
    public async Task Frames_in_memory_are_handed_out_on_the_spot()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 4, 4096);
        await rig.ReadManyAsync(frames);
        var leases = new BufferLease?[4];
        ValueTask read = rig.Reader.ReadManyAsync(frames, leases, Stop);
        Assert.True(read.IsCompletedSuccessfully);
        await read;
        foreach (BufferLease? lease in leases) lease!.Release();
    }

    [Fact]
    public async Task Prefetched_frames_are_in_memory_when_they_are_read()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 8, 4096);
        rig.Reader.Prefetch(frames);
        await FrameReaderRig.UntilAsync(() => rig.Memory.Count == 8);
        rig.Reader.Prefetch(frames);
        await rig.ReadManyAsync(frames);
        Assert.Equal(1, rig.Bucket.Gets);
        Assert.Equal((8, 0), (rig.Memory.Hits, rig.Memory.Misses));
        Assert.Equal(8 * 4112, rig.Reader.ReadAheadBytes);
    }

    [Fact]
    public async Task A_failed_prefetch_disturbs_nobody()
    {
        await using var rig = new FrameReaderRig();
        FrameRef[] frames = rig.Bucket.AddTable(0, 2, 4096);
        rig.Bucket.Hold = static (_, _) =>
            Task.FromException(new ObjectStoreException(ObjectStoreErrorKind.Transient, "No."));
        rig.Reader.Prefetch(frames);
        await FrameReaderRig.UntilAsync(() => rig.Reader.BucketMisses == 2);
        rig.Bucket.Hold = static (_, _) => Task.CompletedTask;
        await rig.ReadManyAsync(frames);
    }

    // The budget has room for two buffers of 8 KiB; the rest is not queued but forgotten.
    [Fact]
    public async Task Read_ahead_stays_within_its_budget_and_gives_it_back()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { ReadAheadBytes = 16 << 10 });
        FrameRef[] frames = rig.Bucket.AddTable(0, 8, 4096, gap: 20_000);
        var gate = new TaskCompletionSource();
        rig.Bucket.Hold = (_, _) => gate.Task;
        rig.Reader.Prefetch(frames);
        rig.Reader.Prefetch(frames);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 2);
        gate.SetResult();
        await FrameReaderRig.UntilAsync(() => rig.Memory.Count == 2 && rig.Reader.FetchBytesInFlight == 0);
        Assert.Equal(2, rig.Bucket.Gets);
        await FrameReaderRig.UntilAsync(() =>
        {
            rig.Reader.Prefetch(frames);
            return rig.Memory.Count == 8;
        });
    }

    [Fact]
    public async Task Reads_that_somebody_waits_for_do_not_queue_behind_read_ahead()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { GetsMax = 1, ReadAheadGetsMax = 2 });
        FrameRef[] ahead = rig.Bucket.AddTable(0, 8, 4096, gap: 20_000);
        FrameRef wanted = rig.Bucket.AddTable(1, 1, 4096)[0];
        var gate = new TaskCompletionSource();
        var held = new ConcurrentBag<long>();
        rig.Bucket.Hold = (key, offset) =>
        {
            if (key != "table-0") return Task.CompletedTask;
            held.Add(offset);
            return gate.Task;
        };
        rig.Reader.Prefetch(ahead);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 2 && held.Count == 2);
        await rig.ReadAsync(wanted);
        // Still in line for read-ahead, so the read fetches it by itself.
        rig.Bucket.Hold = static (_, _) => Task.CompletedTask;
        await rig.ReadAsync(ahead.First(frame => !held.Contains(frame.ObjectOffset)));
        gate.SetResult();
    }

    [Fact]
    public async Task Closing_does_not_wait_for_a_bucket_that_does_not_answer()
    {
        await using var rig = new FrameReaderRig(new FrameReaderOptions { ReadAheadGetsMax = 1 });
        FrameRef[] frames = rig.Bucket.AddTable(0, 4, 4096, gap: 20_000);
        rig.Bucket.Hold = static (_, _) => new TaskCompletionSource().Task;
        rig.Reader.Prefetch(frames);
        await FrameReaderRig.UntilAsync(() => rig.Bucket.Active == 1);
        await rig.Reader.DisposeAsync();
        Assert.Equal(0, rig.Bucket.Active);
    }
}
