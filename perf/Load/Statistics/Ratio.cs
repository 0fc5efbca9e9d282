namespace ZeroFlow.Perf.Statistics;

/// <summary>
/// How many times another's figure one is: by their medians, and the lowest and highest of the rounds' own ratios. Where
/// one lies between those two, the rounds do not agree on which is larger.
/// </summary>
internal sealed record Ratio(double OfMedians, double Lowest, double Highest)
{
    /// <summary>Ratio of figures by round; of the rounds that only one of them has, only the medians know.</summary>
    /// <returns>Null when no round has both, or the other's figure is not above zero.</returns>
    public static Ratio? Of(IEnumerable<(int Round, double Value)> figures, IEnumerable<(int Round, double Value)> others)
    {
        var (mine, theirs) = (figures.ToArray(), others.ToArray());
        if (theirs.Any(other => other.Value <= 0)) return null;
        var rounds = mine.Join(theirs, one => one.Round, other => other.Round, (one, other) => one.Value / other.Value).ToArray();
        return rounds.Length == 0
            ? null
            : new Ratio(MedianOf(mine) / MedianOf(theirs), rounds.Min(), rounds.Max());
    }

    private static double MedianOf(IEnumerable<(int Round, double Value)> figures) =>
        Spread.Of(figures.Select(figure => figure.Value)).Median;
}
