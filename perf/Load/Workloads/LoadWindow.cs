using System.Diagnostics;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// When a run counts, in nanoseconds of the monotonic clock. What begins in [MeasureFrom, StopAt) is measured to its
/// end, however late that is: cutting off at StopAt would leave out exactly the requests that stalled.
/// </summary>
internal sealed class LoadWindow(long startAt, TimeSpan warmup, TimeSpan duration)
{
    private long _stopAt = startAt + ToNanoseconds(warmup) + ToNanoseconds(duration);

    public long StartAt { get; } = startAt;

    public long MeasureFrom { get; } = startAt + ToNanoseconds(warmup);

    public long StopAt => Volatile.Read(ref _stopAt);

    /// <summary>Ends the run early: nothing new begins.</summary>
    public void Stop() => Volatile.Write(ref _stopAt, 0);

    /// <summary>Stopwatch ticks are nanoseconds on Linux, which Program checks.</summary>
    public static long Now() => Stopwatch.GetTimestamp();

    private static long ToNanoseconds(TimeSpan span) => (long)span.TotalNanoseconds;
}
