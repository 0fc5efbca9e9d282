namespace ZeroFlow.TestKit.Engine;

/// <summary>
/// The machine's clock, a number of times faster, so that waits of seconds cost a test little; and able to jump, as a
/// clock does for a process that was stopped for a while. Thread-safe.
/// </summary>
public sealed class ElasticTimeProvider(int timesFaster) : TimeProvider
{
    private readonly long _started = System.GetTimestamp();
    private readonly DateTimeOffset _startedAt = System.GetUtcNow();
    private long _skippedTicks;

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>
    /// Time passes at once. Timers do not notice: as after a stop of the process, they fire when their own time is up.
    /// </summary>
    public void Skip(TimeSpan gap) => Interlocked.Add(ref _skippedTicks, gap.Ticks);

    /// <inheritdoc/>
    public override long GetTimestamp() =>
        (System.GetElapsedTime(_started) * timesFaster).Ticks + Interlocked.Read(ref _skippedTicks);

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => _startedAt + new TimeSpan(GetTimestamp());

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        new FasterTimer(System.CreateTimer(callback, state, Faster(dueTime), Faster(period)), this);

    // Rounded up to whole milliseconds: the system's timers would round down, and fire before their time.
    private TimeSpan Faster(TimeSpan wait) => wait == Timeout.InfiniteTimeSpan
        ? wait
        : TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds / timesFaster));

    private sealed class FasterTimer(ITimer timer, ElasticTimeProvider clock) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) =>
            timer.Change(clock.Faster(dueTime), clock.Faster(period));

        public void Dispose() => timer.Dispose();

        public ValueTask DisposeAsync() => timer.DisposeAsync();
    }
}
