namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// When the requests of an open loop are due: evenly spaced, whatever the server does. Latency counts from there, so
/// that a stall is charged to every request that should have been served meanwhile.
/// </summary>
internal sealed class ArrivalClock(double perSecond, LoadWindow window)
{
    private readonly double _spacing = 1e9 / perSecond;
    private long _ordinal;
    private bool _givenUp;

    public long NextDue => window.StartAt + (long)(_ordinal * _spacing);

    /// <summary>Whether an arrival is due. After the window, late ones are still owed; new ones are not made.</summary>
    public bool TryTake(long now, out long due)
    {
        // What the warm-up left unsent is forgiven: else an overloaded run would measure nothing but warm-up.
        if (now >= window.MeasureFrom && NextDue < window.MeasureFrom)
            _ordinal = (long)Math.Ceiling((window.MeasureFrom - window.StartAt) / _spacing);

        due = NextDue;
        if (due > now || Exhausted) return false;

        _ordinal++;
        return true;
    }

    /// <summary>Whether no arrival is left, or owed.</summary>
    public bool Exhausted => _givenUp || NextDue >= window.StopAt;

    /// <summary>Forgets what is owed and says how much it was.</summary>
    public long GiveUp()
    {
        _givenUp = true;
        return (long)Math.Max(0, (window.StopAt - NextDue) / _spacing);
    }
}
