using System.Collections.Concurrent;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (10) the background half of the pipeline: one actor that, woken by commits, writes checkpoints, gives space back, and
/// settles. It asks nothing of the bucket while nothing changes.
/// </summary>
/// <remarks>
/// One actor for all three, because they exclude each other: a checkpoint must not freeze the state while a settled table
/// is on its way, and what may be deleted is decided right behind a checkpoint.
/// </remarks>
internal sealed class MaintenanceLoop : IDisposable
{
    // After a failure: the bucket's own retries have already taken their time.
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(5);

    private const int MergePauses = 4;

    private readonly WakeSignal _wake;
    private readonly Checkpointer _checkpointer;
    private readonly Collector _collector;
    private readonly Settler _settler;
    private readonly SettlePacer _pacer;
    private readonly StoreSupervisor _supervisor;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly ConcurrentQueue<IErrand> _errands = new();
    private readonly StageMeter _settleMeter;
    private TaskCompletionSource _room = NewSignal();
    private volatile bool _isSettling;
    private TimeSpan _settlePause;
    private bool _settlesOn;
    private long _settledAt;

    public MaintenanceLoop(
        Checkpointer checkpointer, Collector collector, Settler settler, SettlePacer pacer, StoreSupervisor supervisor,
        TimeProvider time, PipelineMetrics metrics)
    {
        _supervisor = supervisor;
        supervisor.OnFatal(_ => MakeRoom());
        _settleMeter = metrics.AddStage("settle", queueBound: 1, static () => 0);
        _pacer = pacer;
        _checkpointer = checkpointer;
        _collector = collector;
        _settler = settler;
        _time = time;
        _wake = new WakeSignal(time);
    }

    /// <summary>Checkpoints that were stored since the start.</summary>
    public long Checkpoints { get; private set; }

    /// <summary>Plain bytes that were settled.</summary>
    public long SettledBytes => _settler.SettledBytes;

    /// <summary>Those of them that were rewritten only to lie together.</summary>
    public long MergedBytes => _settler.MergedBytes;

    /// <inheritdoc cref="Settler.FragmentedPages"/>
    public int FragmentedPages => _settler.FragmentedPages;

    /// <summary>Objects that wait to be deleted.</summary>
    public int WaitingObjects => _collector.DyingCount;

    /// <summary>A table was committed. Called by the commit stage, which then asks for room before the next one.</summary>
    /// <param name="objectBytes">Bytes of the object.</param>
    /// <param name="writtenBytes">Bytes in it that clients wrote.</param>
    public void TableCommitted(long objectBytes, long writtenBytes)
    {
        _settler.Written(writtenBytes);
        _checkpointer.TableCommitted(objectBytes);
        _wake.Wake();
    }

    /// <summary>
    /// Completes when the commit stage may go on: at once, unless the changes in memory have reached their bound. While a
    /// settled table is on its way it may, because that table is behind others, and the checkpoint is behind that table.
    /// </summary>
    public async ValueTask WhenRoomAsync(CancellationToken cancellation)
    {
        while (HoldsCommits)
        {
            Task room;
            lock (_lock) room = _room.Task;
            if (!HoldsCommits) return;
            _wake.Wake();
            await room.WaitAsync(cancellation);
        }
    }

    /// <summary>True while a checkpoint is begun and not installed. Asked within <see cref="BetweenAsync"/>.</summary>
    public bool IsCheckpointUnderWay => _checkpointer.IsUnderWay;

    /// <summary>Runs something between checkpoints, collections and settled batches: none of them goes on meanwhile.</summary>
    public async Task<T> BetweenAsync<T>(Func<Task<T>> work, CancellationToken cancellation)
    {
        var errand = new Errand<T>(work);
        _errands.Enqueue(errand);
        _wake.Wake();
        return await errand.Done.WaitAsync(cancellation);
    }

    /// <summary>
    /// Writes anew what the ranges still hold and a cache or the bucket still has. The pieces that were committed.
    /// </summary>
    public Task<List<LivePiece>> RepairAsync(List<WrittenRange> written, CancellationToken cancellation) =>
        BetweenAsync(() => SettlingAsync(() => _settler.RepairAsync(written, cancellation)), cancellation);

    /// <summary>The actor's loop; ends with the cancellation.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            await LoopAsync(cancellation);
        }
        finally
        {
            while (_errands.TryDequeue(out IErrand? errand)) errand.Cancel();
        }
    }

    private async Task LoopAsync(CancellationToken cancellation)
    {
        _collector.Opened();
        while (true)
        {
            while (_errands.TryDequeue(out IErrand? errand)) await errand.RunAsync();
            if (_supervisor.Cause is not null)
            {
                // Tables that are in the bucket may be missing in a state that nothing is committed to any more. What
                // there is to do is the next writer's.
                await _wake.SleepAsync(Timeout.InfiniteTimeSpan, cancellation);
                continue;
            }

            bool isWell = true;
            if (_checkpointer.IsDue)
            {
                isWell = await _checkpointer.TryRunAsync(cancellation);
                MakeRoom();
                if (isWell)
                {
                    _settler.CheckpointStored();
                    Checkpoints++;
                }
            }

            isWell = isWell && await _collector.TryRunAsync(cancellation);

            // Between two checkpoints the settler has its turn, also when writers make the next one due at once: else it
            // would never come to anything while it is needed most.
            if (isWell && _checkpointer.HoldsCommits) continue;
            isWell = isWell && await TrySettleAsync(cancellation);
            if (isWell && _checkpointer.IsDue) continue;
            await _wake.SleepAsync(isWell ? NextIn() : RetryPause, cancellation);
        }
    }

    public void Dispose() => _wake.Dispose();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // As long as a batch took, so long is the pause behind it: foreground work has at least half of everything, unless
    // it outruns the settler. Merging can wait, and gets a fifth.
    private async Task<bool> TrySettleAsync(CancellationToken cancellation)
    {
        if (SettlePauseLeft > TimeSpan.Zero) return true;
        long started = _time.GetTimestamp();
        long before = _settler.SettledBytes;
        SettleResult result = await SettlingAsync(() => _settler.RunAsync(cancellation));
        _settledAt = _time.GetTimestamp();
        _settlesOn = result is SettleResult.Settled or SettleResult.Merged;
        if (_settlesOn)
        {
            // Only batches that came of it: most turns find nothing to do.
            _settleMeter.Begin(_settler.SettledBytes - before);
            _settleMeter.End(_settler.SettledBytes - before, _time.GetElapsedTime(started));
        }

        _settlePause = result switch
        {
            SettleResult.Settled when !_pacer.IsBehind => _time.GetElapsedTime(started),
            SettleResult.Merged => MergePauses * _time.GetElapsedTime(started),
            _ => TimeSpan.Zero,
        };
        return result != SettleResult.Failed;
    }

    // Commits go on meanwhile: a settled table is behind others.
    private async Task<T> SettlingAsync<T>(Func<Task<T>> work)
    {
        _isSettling = true;
        MakeRoom();
        try
        {
            return await work();
        }
        finally
        {
            _isSettling = false;
        }
    }

    private bool HoldsCommits => _checkpointer.HoldsCommits && !_isSettling && _supervisor.Cause is null;

    private TimeSpan SettlePauseLeft => _settlePause - _time.GetElapsedTime(_settledAt);

    private TimeSpan NextIn()
    {
        TimeSpan next = Timeout.InfiniteTimeSpan;
        Sooner(_collector.NextIn);
        Sooner(_checkpointer.IdleIn);
        if (_settlesOn) Sooner(SettlePauseLeft > TimeSpan.Zero ? SettlePauseLeft : TimeSpan.Zero);
        return next;

        void Sooner(TimeSpan other)
        {
            if (other != Timeout.InfiniteTimeSpan && (next == Timeout.InfiniteTimeSpan || other < next)) next = other;
        }
    }

    private interface IErrand
    {
        Task RunAsync();

        void Cancel();
    }

    private sealed class Errand<T>(Func<Task<T>> work) : IErrand
    {
        private readonly TaskCompletionSource<T> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Done => _done.Task;

        // What fails is for who asked.
        public async Task RunAsync()
        {
            try
            {
                _done.SetResult(await work());
            }
            catch (Exception fault)
            {
                _done.SetException(fault);
            }
        }

        public void Cancel() => _done.TrySetCanceled();
    }

    private void MakeRoom()
    {
        TaskCompletionSource waiting;
        lock (_lock)
        {
            waiting = _room;
            _room = NewSignal();
        }

        waiting.SetResult();
    }
}
