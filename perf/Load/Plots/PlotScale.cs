using System.Globalization;

namespace ZeroFlow.Perf.Plots;

/// <summary>
/// Where values lie on an axis from left to right, and which of them are labelled. Values beyond the ends lie on them.
/// </summary>
internal sealed class PlotScale
{
    private readonly double _from;
    private readonly double _to;
    private readonly double _left;
    private readonly double _width;
    private readonly Func<double, double> _shape;

    private PlotScale(double from, double to, double left, double width, Func<double, double> shape, IReadOnlyList<double> ticks)
    {
        (_from, _to, _left, _width, _shape) = (shape(from), shape(to), left, width, shape);
        Ticks = ticks;
    }

    /// <summary>Values with a line and a label.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>From zero to <paramref name="largest"/>, which is at the right end: bars keep their proportions.</summary>
    public static PlotScale Linear(double largest, double left, double width)
    {
        var end = largest > 0 && double.IsFinite(largest) ? largest : 1;
        var step = StepFor(end / 3);
        var ticks = new List<double>();
        for (var number = 0; number * step <= end; number++) ticks.Add(number * step);
        return new PlotScale(0, end, left, width, static value => value, ticks);
    }

    /// <summary>Whole decades around the values that are above zero.</summary>
    public static PlotScale Logarithmic(IEnumerable<double> values, double left, double width)
    {
        var positive = values.Where(value => value > 0 && double.IsFinite(value)).DefaultIfEmpty(1).ToArray();
        var first = (int)Math.Floor(Math.Log10(positive.Min()));
        var last = Math.Max(first + 1, (int)Math.Ceiling(Math.Log10(positive.Max())));
        return new PlotScale(
            Math.Pow(10, first), Math.Pow(10, last), left, width,
            value => Math.Log10(Math.Max(value, Math.Pow(10, first))),
            [.. Enumerable.Range(first, last - first + 1).Select(power => Math.Pow(10, power))]);
    }

    public double At(double value) =>
        _left + (Math.Clamp((_shape(value) - _from) / (_to - _from), 0, 1) * _width);

    /// <summary>A tick of a count: 0, 500, 20k, 1.5M.</summary>
    public static string CountLabel(double value) => value switch
    {
        >= 1e6 => (value / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + "M",
        >= 1e3 => (value / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + "k",
        _ => value.ToString("0.###", CultureInfo.InvariantCulture),
    };

    /// <summary>A time: 10 us, 1 ms, 2 s.</summary>
    public static string TimeLabel(double micros) => micros switch
    {
        >= 1e6 => (micros / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + " s",
        >= 1e3 => (micros / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + " ms",
        _ => micros.ToString("0.##", CultureInfo.InvariantCulture) + " \u00b5s",
    };

    // 1, 2 or 5 times a power of ten.
    private static double StepFor(double rough)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        return (rough / power) switch
        {
            <= 1 => power,
            <= 2 => 2 * power,
            <= 5 => 5 * power,
            _ => 10 * power,
        };
    }
}
