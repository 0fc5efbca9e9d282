using ZeroFlow.Host.Telemetry;

namespace ZeroFlow.Host.Live;

/// <summary>The metrics at one moment, and their change since an earlier one. Immutable.</summary>
/// <param name="At">Timestamp of the clock that measures.</param>
/// <param name="Families">The metrics by name.</param>
internal sealed record LiveReading(long At, IReadOnlyDictionary<string, MetricSample[]> Families)
{
    /// <summary>Nothing, at a moment.</summary>
    public static LiveReading Empty(long at) => new(at, new Dictionary<string, MetricSample[]>());

    /// <summary>The series of a metric whose labels are the given ones, and possibly more.</summary>
    public IEnumerable<MetricSample> Of(string family, params (string Label, string Value)[] labels) =>
        (Families.GetValueOrDefault(family) ?? []).Where(
            sample => labels.All(label => sample.Tags.TryGetValue(label.Label, out string? value) && value == label.Value));

    /// <summary>The sum over those series; zero when there are none.</summary>
    public double Sum(string family, params (string Label, string Value)[] labels) =>
        Of(family, labels).Sum(static sample => sample.Value);

    /// <summary>The values of a label, in order.</summary>
    public IEnumerable<string> ValuesOf(string family, string label) =>
        Of(family).Select(sample => sample.Tags.GetValueOrDefault(label)).OfType<string>().Distinct().Order(StringComparer.Ordinal);
}

/// <summary>Two readings, and what went on between them.</summary>
/// <param name="Before">The earlier one.</param>
/// <param name="Now">The later one.</param>
/// <param name="Seconds">The time between; zero when there is no earlier one.</param>
internal sealed record LiveChange(LiveReading Before, LiveReading Now, double Seconds)
{
    /// <summary>By how much a counter grew; one that began anew counts from zero.</summary>
    public double Grown(string family, params (string Label, string Value)[] labels)
    {
        double now = Now.Sum(family, labels);
        double before = Before.Sum(family, labels);
        return now < before ? now : now - before;
    }

    /// <summary>By how much a counter grew each second.</summary>
    public double Rate(string family, params (string Label, string Value)[] labels) =>
        Seconds > 0 ? Grown(family, labels) / Seconds : 0;

    /// <summary>The quantiles of what a histogram took up in the time between.</summary>
    public LiveLatency Latency(string family, params (string Label, string Value)[] labels)
    {
        if (Seconds <= 0 || Now.Of(family, labels).FirstOrDefault() is not { Bounds.Length: > 0 } first) return new LiveLatency(null, null);
        long[] counts = new long[first.Buckets.Length];
        foreach (MetricSample sample in Now.Of(family, labels)) Add(counts, sample, 1);
        foreach (MetricSample sample in Before.Of(family, labels)) Add(counts, sample, -1);
        return new LiveLatency(Quantile(counts, first.Bounds, 0.5), Quantile(counts, first.Bounds, 0.99));
    }

    /// <summary>
    /// The value below which a share of the samples lies, linear within its bucket; null without samples. What lies beyond
    /// the last bound counts as that bound.
    /// </summary>
    public static double? Quantile(long[] counts, double[] bounds, double share)
    {
        long total = 0;
        foreach (long count in counts) total += Math.Max(0, count);
        if (total == 0) return null;
        double rank = share * total;
        double seen = 0;
        for (int i = 0; i < bounds.Length; i++)
        {
            long count = Math.Max(0, counts[i]);
            if (count > 0 && seen + count >= rank)
            {
                double low = i == 0 ? 0 : bounds[i - 1];
                return low + ((bounds[i] - low) * Math.Clamp((rank - seen) / count, 0, 1));
            }

            seen += count;
        }

        return bounds[^1];
    }

    private static void Add(long[] counts, MetricSample sample, int sign)
    {
        for (int i = 0; i < Math.Min(counts.Length, sample.Buckets.Length); i++) counts[i] += sign * sample.Buckets[i];
    }
}
