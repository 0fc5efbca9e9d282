using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Tests;

// Percentiles of the histogram beside those of the sorted values, over twelve magnitudes.
public sealed class HistogramTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    [InlineData(0.99)]
    [InlineData(0.999)]
    [InlineData(1)]
    public void Percentiles_are_at_most_a_hundredth_above_the_exact_ones(double fraction)
    {
        var random = new Random(7);
        var values = Enumerable.Range(0, 20_000).Select(_ => (long)Math.Exp(random.NextDouble() * 27)).ToArray();
        var histogram = new LatencyHistogram();
        foreach (var value in values) histogram.Record(value);
        Array.Sort(values);
        var exact = values[Math.Max(0, (int)Math.Ceiling(fraction * values.Length) - 1)];
        Assert.InRange(histogram.PercentileNanoseconds(fraction), exact, exact + (exact / 100) + 1);
    }

    [Fact]
    public void Buckets_have_every_duration_once_and_merging_adds_them()
    {
        var (one, two) = (new LatencyHistogram(), new LatencyHistogram());
        for (var value = 1L; value < 1L << 50; value *= 3) (value % 5 == 1 ? one : two).Record(value);
        one.Add(two);
        Assert.Equal(one.Count, one.Buckets().Sum(bucket => bucket.Count));
        var ends = one.Buckets().Select(bucket => bucket.UpToNanoseconds).ToArray();
        Assert.Equal(ends.Order(), ends);
    }
}
