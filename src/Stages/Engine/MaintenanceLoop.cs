using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (10) the background half of the pipeline: one actor that, woken by commits, writes checkpoints and gives space back.
/// It asks nothing of the bucket while nothing changes.
/// </summary>
internal sealed class MaintenanceLoop : IDisposable
{
    // After a failure: the bucket's own retries have already taken their time.
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(5);

    private readonly WakeSignal _wake;
    private readonly Checkpointer _checkpointer;
    private readonly Collector _collector;
    private readonly Lock _lock = new();
    private TaskCompletionSource _room = NewSignal();

    public MaintenanceLoop(Checkpointer checkpointer, Collector collector, TimeProvider time)
    {
        _checkpointer = checkpointer;
        _collector = collector;
        _wake = new WakeSignal(time);
    }

    /// <summary>A table was committed. Called by the commit stage, which then asks for room before the next one.</summary>
    public void TableCommitted(long objectBytes)
    {
        _checkpointer.TableCommitted(objectBytes);
        _wake.Wake();
    }

    /// <summary>
    /// Completes when the commit stage may go on: at once, unless the changes in memory have reached their bound.
    /// </summary>
    public async ValueTask WhenRoomAsync(CancellationToken cancellation)
    {
        while (_checkpointer.HoldsCommits)
        {
            Task room;
            lock (_lock) room = _room.Task;
            if (!_checkpointer.HoldsCommits) return;
            _wake.Wake();
            await room.WaitAsync(cancellation);
        }
    }

    /// <summary>The actor's loop; ends with the cancellation.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            bool isWell = true;
            if (_checkpointer.IsDue)
            {
                isWell = await _checkpointer.TryRunAsync(cancellation);
                MakeRoom();
            }

            isWell = isWell && await _collector.TryRunAsync(cancellation);
            if (isWell && _checkpointer.IsDue) continue;
            await _wake.SleepAsync(isWell ? _collector.NextIn : RetryPause, cancellation);
        }
    }

    public void Dispose() => _wake.Dispose();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

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
