using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Plots;

/// <summary>Latencies of one kind of operation.</summary>
/// <param name="Who">Whose they are: their colour, and their label unless they have another.</param>
/// <param name="P50">The median, in microseconds; null when nothing was measured.</param>
/// <param name="P99">The 99th percentile.</param>
/// <param name="P999">The 99.9th.</param>
internal sealed record PlotLatency(string Who, Spread? P50, Spread? P99, Spread? P999)
{
    /// <summary>What stands in front of it, where that is not only whose it is.</summary>
    public string Label { get; init; } = Who;
}

/// <summary>
/// For each peer its 50th, 99th and 99.9th percentile on a logarithmic axis, each with the range of its rounds. All panels
/// of a page have the same axis.
/// </summary>
internal sealed class LatencyPanel(PanelHeading heading, IReadOnlyList<PlotLatency> rows, IReadOnlyList<double> axis) : IPlotPanel
{
    private const double RangeHeight = 7;

    public double Height => PanelMarks.HeadHeight + (rows.Count * PanelMarks.RowHeight) + PanelMarks.FootHeight;

    public IEnumerable<string> Labels => rows.Select(row => row.Label);

    public string Description =>
        $"{heading.Text}, latency: {string.Join("; ", rows.Select(row => $"{row.Label} {RowText(row)}"))}.";

    public void Draw(SvgCanvas canvas, PanelPlace place)
    {
        var scale = ScaleAt(place);
        PanelMarks.Frame(canvas, place, heading, scale, rows.Count, PlotScale.TimeLabel, "p50, p99");
        for (var row = 0; row < rows.Count; row++)
        {
            var (latency, y) = (rows[row], place.Y + PanelMarks.HeadHeight + ((row + 0.5) * PanelMarks.RowHeight));
            PanelMarks.Label(canvas, place, latency.Label, y);
            DrawRow(canvas, scale, latency, y);
            canvas.Write(FiguresOf(latency), place.X + place.Width, y + 4, TextStyle.Note, "end");
        }
    }

    /// <summary>The axis: whole decades around all figures of the page.</summary>
    internal PlotScale ScaleAt(PanelPlace place) => PlotScale.Logarithmic(axis, place.AxisLeft, place.AxisWidth);

    private static void DrawRow(SvgCanvas canvas, PlotScale scale, PlotLatency latency, double y)
    {
        var color = PlotColors.ClassOf(latency.Who);
        Spread[] measured = [.. new[] { latency.P50, latency.P99, latency.P999 }.OfType<Spread>()];
        if (measured.Length == 0) return;

        canvas.Line("faint", scale.At(measured[0].Median), y, scale.At(measured[^1].Median), y);
        foreach (var spread in measured.Where(spread => spread.Max > spread.Min))
        {
            var left = scale.At(spread.Min);
            canvas.Rectangle($"{color} range", left, y - (RangeHeight / 2), scale.At(spread.Max) - left, RangeHeight);
        }

        if (latency.P50 is { } p50)
            PanelMarks.Circle(canvas, $"mark {color}", scale.At(p50.Median), y, Hint(latency.Label, "p50", p50));
        if (latency.P99 is { } p99)
            PanelMarks.Diamond(canvas, $"mark {color}", scale.At(p99.Median), y, Hint(latency.Label, "p99", p99));
        if (latency.P999 is { } p999)
            PanelMarks.Stroke(canvas, $"mark {color}", scale.At(p999.Median), y, Hint(latency.Label, "p99.9", p999));
    }

    private static string Hint(string who, string name, Spread spread) =>
        $"{who}, {name}: {TimeText(spread.Median)} ({TimeText(spread.Min)} to {TimeText(spread.Max)})";

    private static string FiguresOf(PlotLatency row)
    {
        Spread[] shown = [.. new[] { row.P50, row.P99 }.OfType<Spread>()];
        return shown.Length == 0 ? "not measured" : string.Join(", ", shown.Select(spread => TimeText(spread.Median)));
    }

    private static string RowText(PlotLatency row)
    {
        (string Name, Spread? Value)[] figures = [("p50", row.P50), ("p99", row.P99), ("p99.9", row.P999)];
        var measured = figures.Where(figure => figure.Value is not null).ToArray();
        return measured.Length == 0
            ? "not measured"
            : string.Join(", ", measured.Select(figure => $"{figure.Name} {TimeText(figure.Value!.Median)}"));
    }

    private static string TimeText(double micros)
    {
        var unit = micros switch { >= 1e6 => 1e6, >= 1e3 => 1e3, _ => 1 };
        var shown = micros / unit;
        return PlotScale.TimeLabel(Math.Round(shown, shown >= 100 ? 0 : shown >= 10 ? 1 : 2) * unit);
    }
}
