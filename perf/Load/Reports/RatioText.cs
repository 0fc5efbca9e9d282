using System.Globalization;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>A ratio as reports write it.</summary>
internal static class RatioText
{
    /// <summary>That of the medians, then the lowest and the highest of the rounds, if there are several.</summary>
    public static string Of(Ratio ratio) => ratio.Highest > ratio.Lowest
        ? $"{Number(ratio.OfMedians)}x, {Number(ratio.Lowest)}..{Number(ratio.Highest)}"
        : $"{Number(ratio.OfMedians)}x";

    /// <summary>Two decimals, or two digits of what is small.</summary>
    public static string Number(double ratio) =>
        ratio.ToString(ratio is >= 0.1 or 0 ? "F2" : "G2", CultureInfo.InvariantCulture);
}
