namespace ZeroFlow.TestKit.Time;

/// <summary>
/// A clock that moves only when it is told to, timers included: they fire inside <see cref="Advance"/>, in the order in
/// which they are due. Thread-safe.
/// </summary>
public sealed class ManualTimeProvider : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly List<ManualTimer> _timers = [];
    private readonly DateTimeOffset _start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private TimeSpan _elapsed;

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Time since the clock was made.</summary>
    public TimeSpan Elapsed
    {
        get
        {
            lock (_lock) return _elapsed;
        }
    }

    /// <summary>Timers that wait to fire.</summary>
    public int PendingTimers
    {
        get
        {
            lock (_lock) return _timers.Count;
        }
    }

    /// <inheritdoc/>
    public override long GetTimestamp() => Elapsed.Ticks;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _start + Elapsed;

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Moves the clock, stopping at each timer on the way to run it.</summary>
    public void Advance(TimeSpan by)
    {
        TimeSpan until = Elapsed + by;
        while (TakeDue(until) is { } due) due.Fire();
        lock (_lock) _elapsed = until;
    }

    /// <summary>
    /// Moves the clock in <paramref name="step"/>s until <paramref name="work"/> is done, giving its continuations time
    /// to run in between.
    /// </summary>
    /// <exception cref="TimeoutException">
    /// The work was not done after <paramref name="limit"/> of this clock's time.
    /// </exception>
    public async Task RunUntilDoneAsync(Task work, TimeSpan step, TimeSpan limit)
    {
        TimeSpan end = Elapsed + limit;
        while (!work.IsCompleted)
        {
            // Continuations run on the pool: wait until they have armed a timer, or for a moment if they never do.
            for (int spins = 0; spins < 20 && !work.IsCompleted && PendingTimers == 0; spins++)
                await Task.Delay(1);
            if (work.IsCompleted) break;
            if (Elapsed >= end) throw new TimeoutException($"Not done after {limit} of manual time.");
            Advance(step);
            await Task.Yield();
        }

        await work;
    }

    private ManualTimer? TakeDue(TimeSpan until)
    {
        lock (_lock)
        {
            ManualTimer? due = _timers.Where(timer => timer.Due <= until).MinBy(timer => timer.Due);
            if (due is null) return null;
            if (due.Due > _elapsed) _elapsed = due.Due;
            if (due.Period > TimeSpan.Zero) due.Due += due.Period;
            else _timers.Remove(due);
            return due;
        }
    }

    private sealed class ManualTimer(ManualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        public TimeSpan Due { get; set; }

        public TimeSpan Period { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._lock)
            {
                clock._timers.Remove(this);
                if (dueTime == Timeout.InfiniteTimeSpan) return true;
                Due = clock._elapsed + dueTime;
                Period = period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period;
                clock._timers.Add(this);
            }

            return true;
        }

        public void Dispose()
        {
            lock (clock._lock) clock._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
