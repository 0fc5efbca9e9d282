using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Stands in front of every acknowledgement. Closed when this process may have been stopped for so long that another
/// server took the store over; it opens again once the bucket shows that none did. Thread-safe.
/// </summary>
/// <remarks>
/// A writer learns that it is fenced from its next PUT. A process that was paused (SIGSTOP, a suspended VM) and goes on
/// would acknowledge journaled writes until then. There is no lease to run out, so the gate watches for the pause
/// itself: a heartbeat that comes late, seen either by the heartbeat or by whoever acknowledges first. The clock must go
/// on while the process, or the machine, stands still.
/// </remarks>
internal sealed partial class AckGate : IDisposable
{
    private readonly TimeProvider _time;
    private readonly TimeSpan _threshold;
    private readonly Func<CancellationToken, Task> _proveOwnership;
    private readonly StoreSupervisor _supervisor;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly ITimer _heartbeat;
    private long _lastBeat;
    private volatile Task? _proof;

    /// <param name="time">The clock and the heartbeat.</param>
    /// <param name="threshold">A longer gap between two looks at the clock closes the gate.</param>
    /// <param name="proveOwnership">Completes when the bucket shows that no one took over; throws Fenced if one did.</param>
    /// <param name="supervisor">Told when the proof fails for good.</param>
    /// <param name="log">Where a closed gate is reported.</param>
    public AckGate(
        TimeProvider time, TimeSpan threshold, Func<CancellationToken, Task> proveOwnership, StoreSupervisor supervisor,
        ILogger log)
    {
        _time = time;
        _threshold = threshold;
        _proveOwnership = proveOwnership;
        _supervisor = supervisor;
        _log = log;
        _lastBeat = time.GetTimestamp();
        TimeSpan period = threshold / 8;
        _heartbeat = time.CreateTimer(static state => ((AckGate)state!).OnHeartbeat(), this, period, period);
    }

    /// <summary>True while acknowledgements wait for a proof of ownership.</summary>
    public bool IsClosed => _proof is not null;

    /// <summary>Completes at once while the gate is open, otherwise when ownership is proven.</summary>
    /// <exception cref="StorageFaultException">Another server owns the store.</exception>
    public ValueTask PassAsync()
    {
        CloseIfLate(_time.GetTimestamp());
        return _proof is { } proof ? new ValueTask(proof) : ValueTask.CompletedTask;
    }

    public void Dispose() => _heartbeat.Dispose();

    // The clock is read once: a pause after the reading leaves an old beat behind, which the next look notices.
    private void OnHeartbeat()
    {
        long now = _time.GetTimestamp();
        if (!CloseIfLate(now)) Volatile.Write(ref _lastBeat, now);
    }

    // The proof is in place before the beat moves: who sees the new beat also sees the closed gate.
    private bool CloseIfLate(long now)
    {
        if (!IsLate(now)) return false;
        lock (_lock)
        {
            if (_proof is not null || !IsLate(now)) return true;
            TimeSpan gap = _time.GetElapsedTime(_lastBeat, now);
            _proof = ProveAsync();
            Volatile.Write(ref _lastBeat, now);
            LogClosed(gap.TotalSeconds);
            return true;
        }
    }

    private bool IsLate(long now) => _time.GetElapsedTime(Volatile.Read(ref _lastBeat), now) > _threshold;

    private async Task ProveAsync()
    {
        await Task.Yield();
        try
        {
            // A proof holds for the moment in which the bucket was read: one that took longer than the threshold may
            // have been slept over itself.
            long started;
            do
            {
                started = _time.GetTimestamp();
                await _proveOwnership(_supervisor.Stopping);
            }
            while (_time.GetElapsedTime(started) > _threshold);

            lock (_lock)
            {
                Volatile.Write(ref _lastBeat, started);
                _proof = null;
            }

            LogOpened();
        }
        catch (Exception fault)
        {
            // The failed proof stays in place: nothing is acknowledged any more.
            if (!_supervisor.Stopping.IsCancellationRequested) _supervisor.Fail("ownership", fault);
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "This process stood still for {Seconds:F1} s; it acknowledges nothing until the bucket shows that no other server took over.")]
    private partial void LogClosed(double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "No other server took over; acknowledgements go on.")]
    private partial void LogOpened();
}
