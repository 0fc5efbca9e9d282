namespace ZeroFlow.Perf.Statistics;

/// <summary>The figures of a histogram that reports print, in microseconds.</summary>
internal sealed record LatencySummary(
    long Count,
    double MeanMicros,
    double P50Micros,
    double P90Micros,
    double P99Micros,
    double P999Micros,
    double MaxMicros)
{
    public static LatencySummary Of(LatencyHistogram histogram) => new(
        histogram.Count,
        histogram.MeanNanoseconds / 1e3,
        histogram.PercentileNanoseconds(0.50) / 1e3,
        histogram.PercentileNanoseconds(0.90) / 1e3,
        histogram.PercentileNanoseconds(0.99) / 1e3,
        histogram.PercentileNanoseconds(0.999) / 1e3,
        histogram.MaxNanoseconds / 1e3);
}
