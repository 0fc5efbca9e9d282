namespace ZeroFlow.Host.Telemetry;

/// <summary>One series at one moment.</summary>
/// <param name="Tags">Its labels, unescaped.</param>
/// <param name="Value">Of a counter or gauge; of a histogram the sum.</param>
/// <param name="Buckets">Counts of a histogram by bucket, the last one open; empty for anything else.</param>
/// <param name="Bounds">Upper bounds of the buckets but the last, ascending.</param>
internal sealed record MetricSample(
    IReadOnlyDictionary<string, string> Tags, double Value, long[] Buckets, double[] Bounds);
