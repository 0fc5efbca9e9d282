using Microsoft.Extensions.Logging;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Says in the log that writes wait for room in the WAL, and that they go on: at most one pair of lines in
/// <see cref="LogInterval"/>, however many wait and however often. Thread-safe.
/// </summary>
internal sealed partial class AdmissionStall(TimeProvider time, ILogger log)
{
    // A shorter wait is how writes are held to the rate of the bucket.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private int _late;
    private long _since;
    private long? _saidAt;
    private bool _isSaid;

    /// <summary>Waits for <paramref name="room"/>, and says so when that takes long.</summary>
    public async ValueTask WatchAsync(ValueTask room, long limitBytes)
    {
        Task waiting = room.AsTask();
        try
        {
            await waiting.WaitAsync(Patience, time);
            return;
        }
        catch (TimeoutException) when (!waiting.IsCompleted)
        {
            Begin(limitBytes);
        }

        try
        {
            await waiting;
        }
        finally
        {
            End();
        }
    }

    private void Begin(long limitBytes)
    {
        lock (_lock)
        {
            if (_late++ > 0) return;
            _since = time.GetTimestamp();
            if (_saidAt is { } before && time.GetElapsedTime(before) < LogInterval) return;
            _saidAt = _since;
            _isSaid = true;
        }

        LogWaiting(log, limitBytes >> 20);
    }

    private void End()
    {
        TimeSpan waited;
        lock (_lock)
        {
            if (--_late > 0 || !_isSaid) return;
            _isSaid = false;
            waited = time.GetElapsedTime(_since);
        }

        LogGoingOn(log, waited.TotalSeconds + Patience.TotalSeconds);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Writes wait: the local log holds all of the {Mebibytes} MiB that may wait for the bucket. They go on as the bucket takes them; if that is too slow, make Tuning:WalBytes larger.")]
    private static partial void LogWaiting(ILogger log, long mebibytes);

    [LoggerMessage(Level = LogLevel.Information, Message = "Writes go on after {Seconds:F1} s: there is room in the local log again.")]
    private static partial void LogGoingOn(ILogger log, double seconds);
}
