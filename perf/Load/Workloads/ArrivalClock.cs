namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// When the requests of an open loop are due: evenly spaced, whatever the server does. Latency counts from there, so
/// that a stall is charged to every request that should have been served meanwhile.
/// </summary>
internal sealed class ArrivalClock(double perSecond, LoadWindow window)
{
    private readonly double _spacing = 1e9 / perSecond;
    private long _ordinal;

    public long NextDue => window.StartAt + (long)(_ordinal * _spacing);

    /// <summary>Whether an arrival is due. After the window, late ones are still owed; new ones are not made.</summary>
    public bool TryTake(long now, out long due)
    {
        due = NextDue;
        if (due > now || due >= window.StopAt) return false;

        _ordinal++;
        return true;
    }

    public bool Exhausted => NextDue >= window.StopAt;

    /// <summary>How many arrivals are due and not taken.</summary>
    public long Owed(long now) => (long)Math.Max(0, (Math.Min(now, window.StopAt) - NextDue) / _spacing);
}
