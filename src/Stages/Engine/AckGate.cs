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
/// itself: a heartbeat that comes late, seen either by the heartbeat or by whoever acknowledges first.
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
    private int _stalls;
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
        _heartbeat = time.CreateTimer(static state => ((AckGate)state!).Beat(), this, period, period);
    }

    /// <summary>True while acknowledgements wait for a proof of ownership.</summary>
    public bool IsClosed => _proof is not null;

    /// <summary>Completes at once while the gate is open, otherwise when ownership is proven.</summary>
    /// <exception cref="StorageFaultException">Another server owns the store.</exception>
    public ValueTask PassAsync()
    {
        Look();
        return _proof is { } proof ? new ValueTask(proof) : ValueTask.CompletedTask;
    }

    public void Dispose() => _heartbeat.Dispose();

    private void Beat()
    {
        // The clock is read first: a stop between the look and the beat must not pass for a beat in time.
        long now = _time.GetTimestamp();
        Look();
        Volatile.Write(ref _lastBeat, now);
    }

    private void Look()
    {
        if (_time.GetElapsedTime(Volatile.Read(ref _lastBeat)) <= _threshold) return;
        lock (_lock)
        {
            TimeSpan gap = _time.GetElapsedTime(_lastBeat);
            if (gap <= _threshold) return;
            _stalls++;
            if (_proof is null)
            {
                LogClosed(gap.TotalSeconds);
                _proof = ProveAsync();
            }

            // Last: whoever sees this beat, and therefore no gap, sees the closed gate, too.
            Volatile.Write(ref _lastBeat, _time.GetTimestamp());
        }
    }

    private async Task ProveAsync()
    {
        await Task.Yield();
        try
        {
            while (!await TryProveAsync())
            {
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

    // False when the process stood still again meanwhile: what the bucket answered may be as old as that.
    private async Task<bool> TryProveAsync()
    {
        int stalls;
        lock (_lock) stalls = _stalls;
        await _proveOwnership(_supervisor.Stopping);
        Look();
        lock (_lock)
        {
            if (_stalls != stalls) return false;
            _proof = null;
            return true;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "This process stood still for {Seconds:F1} s; it acknowledges nothing until the bucket shows that no other server took over.")]
    private partial void LogClosed(double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "No other server took over; acknowledgements go on.")]
    private partial void LogOpened();
}
