namespace ZeroFlow.Nbd.Telemetry;

/// <summary>Lets one line through in each <paramref name="pause"/>, and counts the others. Thread-safe.</summary>
internal sealed class LineLimit(TimeProvider time, TimeSpan pause)
{
    private readonly Lock _lock = new();
    private long _lastAt;
    private bool _hasLast;
    private long _suppressed;

    /// <summary>True when a line may be written, with how many were not since the last one.</summary>
    public bool Passes(out long suppressed)
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            if (_hasLast && time.GetElapsedTime(_lastAt, now) < pause)
            {
                _suppressed++;
                suppressed = 0;
                return false;
            }

            _hasLast = true;
            _lastAt = now;
            suppressed = _suppressed;
            _suppressed = 0;
            return true;
        }
    }
}
