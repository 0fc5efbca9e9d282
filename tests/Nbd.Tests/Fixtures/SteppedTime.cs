namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>A clock that moves only when a test moves it.</summary>
internal sealed class SteppedTime : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly List<Alarm> _alarms = [];
    private long _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Timers that are set.</summary>
    public int AlarmCount
    {
        get
        {
            lock (_lock) return _alarms.Count;
        }
    }

    public override long GetTimestamp() => Volatile.Read(ref _now);

    public void Advance(TimeSpan step)
    {
        Alarm[] due;
        lock (_lock)
        {
            _now += step.Ticks;
            due = [.. _alarms.Where(a => a.DueAt <= _now)];
            _alarms.RemoveAll(a => a.DueAt <= _now);
        }

        foreach (Alarm alarm in due) alarm.Ring();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var alarm = new Alarm(this, callback, state);
        alarm.Change(dueTime, period);
        return alarm;
    }

    private sealed class Alarm(SteppedTime clock, TimerCallback callback, object? state) : ITimer
    {
        public long DueAt { get; private set; }

        public void Ring() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._lock)
            {
                clock._alarms.Remove(this);
                if (dueTime < TimeSpan.Zero) return true;
                DueAt = clock._now + dueTime.Ticks;
                clock._alarms.Add(this);
            }

            return true;
        }

        public void Dispose()
        {
            lock (clock._lock) clock._alarms.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
