namespace ZeroFlow.Perf.Statistics;

/// <summary>
/// Median and range of a few repeated measurements. With three to seven rounds a standard deviation would pretend to
/// know a distribution; the range shows what was seen.
/// </summary>
internal sealed record Spread(double Median, double Min, double Max)
{
    /// <summary>The range as a share of the median: how far two rounds of the same thing lie apart.</summary>
    public double RelativeRange => Median == 0 ? 0 : (Max - Min) / Median;

    /// <summary>This, or null when one of its figures is no number.</summary>
    public Spread? OrNull() => double.IsFinite(Median) && double.IsFinite(Min) && double.IsFinite(Max) ? this : null;

    /// <exception cref="ArgumentException">There are no values.</exception>
    public static Spread Of(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        if (sorted.Length == 0) throw new ArgumentException("A spread needs at least one value.", nameof(values));

        var middle = sorted.Length / 2;
        var median = sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Spread(median, sorted[0], sorted[^1]);
    }
}
