using System.Threading.Channels;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Micro;

/// <summary>
/// A write-ahead log with nothing in it but group commit: writers put records into a channel, one thread takes
/// all that wait, writes them with one gathered pwrite, calls fdatasync once, and answers all. What a real log adds to
/// this (sequence, checksum, encryption, index) is its own cost.
/// </summary>
internal sealed class GroupCommitFloor : IDisposable
{
    private readonly Channel<Submission> _channel;
    private readonly PayloadPool _payloads = new(2, 1);
    private readonly DurableFile _file;
    private readonly NativeSocket.Piece[] _pieces;
    private readonly int _writers;
    private readonly int _recordBytes;
    private readonly LatencyHistogram _latency = new();
    private long _syncs;

    private GroupCommitFloor(string directory, int writers, int recordBytes)
    {
        _writers = writers;
        _recordBytes = recordBytes;
        _pieces = GC.AllocateArray<NativeSocket.Piece>(writers, pinned: true);
        _channel = Channel.CreateBounded<Submission>(
            new BoundedChannelOptions(writers) { SingleReader = true, SingleWriter = false });
        _file = new DurableFile(
            Path.Combine(directory, $"group-commit-floor-{Environment.ProcessId}"), SyncFloor.FilledBytes);
    }

    /// <param name="directory">On the filesystem to measure.</param>
    /// <param name="duration">How long.</param>
    /// <param name="writers">Each waits for its record before it writes the next.</param>
    /// <param name="recordBytes">A multiple of 4 KiB.</param>
    public static FloorResult Run(string directory, TimeSpan duration, int writers, int recordBytes)
    {
        using var floor = new GroupCommitFloor(directory, writers, recordBytes);
        var begun = LoadWindow.Now();
        var stopAt = begun + (long)duration.TotalNanoseconds;
        var running = Enumerable.Range(0, writers).Select(_ => floor.WriteUntilAsync(stopAt)).ToArray();
        var ended = Task.WhenAll(running).ContinueWith(
            _ => floor._channel.Writer.Complete(),
            CancellationToken.None,
            TaskContinuationOptions.None,
            TaskScheduler.Default);
        floor.Commit();
        ended.GetAwaiter().GetResult();
        var seconds = (LoadWindow.Now() - begun) / 1e9;
        return new FloorResult(
            $"group commit, {writers} writers of {recordBytes >> 10} KiB", floor._latency.Count / seconds, floor._syncs / seconds,
            LatencySummary.Of(floor._latency));
    }

    public void Dispose()
    {
        _file.Dispose();
        _payloads.Dispose();
    }

    private async Task WriteUntilAsync(long stopAt)
    {
        // The first await must yield: the committer starts only when all writers have been started.
        await Task.Yield();
        while (LoadWindow.Now() < stopAt)
        {
            var submission = new Submission(LoadWindow.Now());
            await _channel.Writer.WriteAsync(submission);
            await submission.Durable.Task;
        }
    }

    private void Commit()
    {
        var batch = new List<Submission>(_writers);
        var ordinal = 0L;
        while (_channel.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (batch.Count < _writers && _channel.Reader.TryRead(out var submission)) batch.Add(submission);
            WriteDurably(batch.Count, ref ordinal);
            var now = LoadWindow.Now();
            foreach (var submission in batch)
            {
                _latency.Record(now - submission.Started);
                submission.Durable.SetResult();
            }

            batch.Clear();
        }
    }

    private unsafe void WriteDurably(int count, ref long ordinal)
    {
        if ((ordinal + count) * _recordBytes > SyncFloor.FilledBytes) ordinal = 0;
        for (var index = 0; index < count; index++)
        {
            _pieces[index].Start = _payloads.At(ordinal + index, _recordBytes);
            _pieces[index].Length = _recordBytes;
        }

        fixed (NativeSocket.Piece* pieces = _pieces) _file.Write(pieces, count, ordinal * _recordBytes);
        _file.SyncData();
        ordinal += count;
        _syncs++;
    }

    private sealed class Submission(long started)
    {
        public long Started { get; } = started;

        public TaskCompletionSource Durable { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
