using System.Numerics;

namespace ZeroFlow.Perf.Statistics;

/// <summary>
/// Counts of durations in log-linear buckets: exact below 256 ns, within 1/128 (0.8 %) above, up to about 18 minutes.
/// Not thread-safe: every loop owns one, and the owner merges them when the loops have ended.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBucketBits = 7;
    private const int SubBuckets = 1 << SubBucketBits;
    private const int TopBit = 40;
    private const int BucketCount = (TopBit - SubBucketBits + 2) * SubBuckets;

    private readonly long[] _counts = new long[BucketCount];

    public long Count { get; private set; }

    public long TotalNanoseconds { get; private set; }

    public long MaxNanoseconds { get; private set; }

    public double MeanNanoseconds => Count == 0 ? 0 : (double)TotalNanoseconds / Count;

    /// <summary>Adds one duration. A negative one counts as zero, one beyond the range in the last bucket.</summary>
    public void Record(long nanoseconds)
    {
        var value = Math.Max(0, nanoseconds);
        _counts[IndexOf(value)]++;
        Count++;
        TotalNanoseconds += value;
        MaxNanoseconds = Math.Max(MaxNanoseconds, value);
    }

    public void Add(LatencyHistogram other)
    {
        for (var index = 0; index < BucketCount; index++)
            _counts[index] += other._counts[index];
        Count += other.Count;
        TotalNanoseconds += other.TotalNanoseconds;
        MaxNanoseconds = Math.Max(MaxNanoseconds, other.MaxNanoseconds);
    }

    /// <summary>The buckets that hold something: the longest duration that counts in each, and how many do.</summary>
    public IEnumerable<(long UpToNanoseconds, long Count)> Buckets() =>
        _counts.Index().Where(bucket => bucket.Item > 0).Select(bucket => (UpperEndOf(bucket.Index), bucket.Item));

    /// <summary>
    /// The smallest bucket's upper end such that at least <paramref name="fraction"/> of the durations are not longer
    /// (nearest rank), never more than the longest seen; 0 when nothing was recorded.
    /// </summary>
    public long PercentileNanoseconds(double fraction)
    {
        if (Count == 0) return 0;

        var rank = Math.Clamp((long)Math.Ceiling(fraction * Count), 1, Count);
        var seen = 0L;
        for (var index = 0; index < BucketCount; index++)
        {
            seen += _counts[index];
            if (seen >= rank) return Math.Min(UpperEndOf(index), MaxNanoseconds);
        }

        return MaxNanoseconds;
    }

    private static int IndexOf(long value)
    {
        var top = BitOperations.Log2((ulong)value | 1);
        if (top > TopBit) return BucketCount - 1;

        var shift = Math.Max(0, top - SubBucketBits);
        return (shift << SubBucketBits) + (int)(value >> shift);
    }

    private static long UpperEndOf(int index)
    {
        var shift = Math.Max(0, (index >> SubBucketBits) - 1);
        var mantissa = (long)(index - (shift << SubBucketBits));
        return ((mantissa + 1) << shift) - 1;
    }
}
