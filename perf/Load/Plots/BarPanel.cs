using System.Globalization;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Plots;

/// <summary>A bar, and the range of its rounds on it.</summary>
/// <param name="Who">Whose it is: its colour, and its label unless it has another.</param>
/// <param name="Value">Null when it was not measured.</param>
/// <param name="Remark">What stands behind its figure.</param>
internal sealed record PlotBar(string Who, Spread? Value, string Remark = "")
{
    /// <summary>What stands in front of it, where that is not only whose it is.</summary>
    public string Label { get; init; } = Who;
}

/// <summary>One bar for each peer, from zero, with the lowest and the highest round as a whisker.</summary>
internal sealed class BarPanel(PanelHeading heading, string unit, IEnumerable<PlotBar> bars) : IPlotPanel
{
    private const double BarHeight = 13;

    // A figure for each request is no number when there was none.
    private readonly PlotBar[] _bars = [.. bars.Select(bar => bar with { Value = bar.Value?.OrNull() })];

    public double Height => PanelMarks.HeadHeight + (_bars.Length * PanelMarks.RowHeight) + PanelMarks.FootHeight;

    public IEnumerable<string> Labels => _bars.Select(bar => bar.Label);

    public string Description =>
        $"{heading.Text}, {unit}: {string.Join("; ", _bars.Select(bar => $"{bar.Label} {RangeText(bar.Value)}"))}.";

    /// <summary>A figure with three digits at least, and no more than it has.</summary>
    public static string ValueText(double value) => value.ToString(
        Math.Abs(value) switch { >= 100 => "N0", >= 10 => "0.#", _ => "0.##" }, CultureInfo.InvariantCulture);

    public void Draw(SvgCanvas canvas, PanelPlace place)
    {
        var scale = ScaleAt(place);
        PanelMarks.Frame(canvas, place, heading, scale, _bars.Length, PlotScale.CountLabel, unit);
        for (var row = 0; row < _bars.Length; row++)
        {
            var (bar, y) = (_bars[row], place.Y + PanelMarks.HeadHeight + ((row + 0.5) * PanelMarks.RowHeight));
            PanelMarks.Label(canvas, place, bar.Label, y);
            if (bar.Value is { } value)
                DrawBar(canvas, scale, bar, value, y);
            else
                canvas.Write("not measured", place.AxisLeft + 6, y + 4, TextStyle.Note);
        }
    }

    /// <summary>The axis: to the highest of all rounds.</summary>
    internal PlotScale ScaleAt(PanelPlace place) => PlotScale.Linear(
        _bars.Select(bar => bar.Value?.Max ?? 0).DefaultIfEmpty(0).Max(), place.AxisLeft, place.AxisWidth);

    private void DrawBar(SvgCanvas canvas, PlotScale scale, PlotBar bar, Spread value, double y)
    {
        var left = scale.At(0);
        canvas.Rectangle(
            $"mark {PlotColors.ClassOf(bar.Who)}", left, y - (BarHeight / 2), scale.At(value.Median) - left, BarHeight,
            $"{bar.Label}, {heading.Text}: {RangeText(value)} {unit}");
        var end = scale.At(value.Max);
        if (value.Max > value.Min) PanelMarks.Whisker(canvas, scale.At(value.Min), end, y);
        canvas.Write(ValueText(value.Median) + bar.Remark, end + 7, y + 4);
    }

    private static string RangeText(Spread? value)
    {
        if (value is null) return "not measured";
        return value.Max > value.Min
            ? $"{ValueText(value.Median)} ({ValueText(value.Min)} to {ValueText(value.Max)})"
            : ValueText(value.Median);
    }
}
