namespace ZeroFlow.Host.Telemetry;

/// <summary>Upper bounds of histogram buckets on a logarithmic scale, by unit.</summary>
internal static class HistogramBuckets
{
    // 1-2-5 from a microsecond (a memory hit) to 50 s (a bucket that does not answer): the resolution at which a change
    // of a median by a half shows, for 25 lines a series.
    private static readonly double[] Seconds =
    [
        1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3,
        0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50,
    ];

    // From a sector to the largest request.
    private static readonly double[] Bytes =
        [512, 4096, 16384, 65536, 131072, 262144, 1048576, 4194304, 16777216, 67108864];

    private static readonly double[] Counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

    /// <summary>The bounds for values of <paramref name="unit"/>, ascending; the last bucket is open.</summary>
    public static double[] ForUnit(string? unit) => unit switch
    {
        "s" => Seconds,
        "By" => Bytes,
        _ => Counts,
    };

    /// <summary>
    /// The bucket of <paramref name="value"/>: the first whose bound is not below it; NaN falls into the last.
    /// </summary>
    public static int IndexOf(ReadOnlySpan<double> bounds, double value)
    {
        int low = 0;
        int high = bounds.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (value <= bounds[middle]) high = middle;
            else low = middle + 1;
        }

        return low;
    }
}
