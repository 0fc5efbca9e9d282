namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// When the requests of an open loop are due, whatever the server does. Latency counts from there, so that a stall is
/// charged to every request that should have been served meanwhile. Used by one connection's loop only.
/// </summary>
internal abstract class ArrivalSchedule
{
    /// <summary>When the next request is due; only while the schedule is not exhausted.</summary>
    public abstract long NextDue { get; }

    /// <summary>Whether no arrival is left, or owed.</summary>
    public abstract bool Exhausted { get; }

    /// <summary>Whether an arrival is due; takes it.</summary>
    public abstract bool TryTake(long now, out long due);

    /// <summary>Forgets what is owed and says how much it was.</summary>
    public abstract long GiveUp();
}

/// <summary>Evenly spaced arrivals.</summary>
internal sealed class ArrivalClock(double perSecond, LoadWindow window) : ArrivalSchedule
{
    private readonly double _spacing = 1e9 / perSecond;
    private long _ordinal;
    private bool _givenUp;

    public override long NextDue => window.StartAt + (long)(_ordinal * _spacing);

    /// <remarks>After the window, late arrivals are still owed; new ones are not made.</remarks>
    public override bool TryTake(long now, out long due)
    {
        // What the warm-up left unsent is forgiven: else an overloaded run would measure nothing but warm-up.
        if (now >= window.MeasureFrom && NextDue < window.MeasureFrom)
            _ordinal = (long)Math.Ceiling((window.MeasureFrom - window.StartAt) / _spacing);

        due = NextDue;
        if (due > now || Exhausted) return false;

        _ordinal++;
        return true;
    }

    public override bool Exhausted => _givenUp || NextDue >= window.StopAt;

    public override long GiveUp()
    {
        _givenUp = true;
        return (long)Math.Max(0, (window.StopAt - NextDue) / _spacing);
    }
}
