namespace ZeroFlow.Perf.Latency;

/// <summary>
/// Log-normal delays, which is how an object store's times to the first byte spread: half are below the median, and the
/// tail is long. With the default sigma the 99th percentile is 1.8 times the median. Thread-safe.
/// </summary>
internal sealed class LatencyLaw(TimeSpan median, double sigma, int seed)
{
    public const double DefaultSigma = 0.25;

    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);

    /// <summary>The next delay, in whole milliseconds, which is what timers can do; right on average.</summary>
    public TimeSpan Next()
    {
        lock (_lock)
        {
            // Box and Muller's way to the normal distribution.
            var radius = Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble()));
            var normal = radius * Math.Cos(2 * Math.PI * _random.NextDouble());
            var exact = median.TotalMilliseconds * Math.Exp(sigma * normal);
            return TimeSpan.FromMilliseconds(Math.Floor(exact + _random.NextDouble()));
        }
    }
}
