namespace ZeroFlow.Perf.Plots;

/// <summary>What panels and their key draw alike.</summary>
internal static class PanelMarks
{
    public const double RowHeight = 20;
    public const double HeadHeight = 24;
    public const double FootHeight = 22;

    public static void Whisker(SvgCanvas canvas, double left, double right, double y)
    {
        canvas.Line("ink", left, y, right, y);
        canvas.Line("ink", left, y - 3.5, left, y + 3.5);
        canvas.Line("ink", right, y - 3.5, right, y + 3.5);
    }

    public static void Circle(SvgCanvas canvas, string styles, double x, double y, string? hint = null) =>
        canvas.Circle(styles, x, y, 4, hint);

    public static void Diamond(SvgCanvas canvas, string styles, double x, double y, string? hint = null) =>
        canvas.Diamond(styles, x, y, 5, hint);

    public static void Stroke(SvgCanvas canvas, string styles, double x, double y, string? hint = null) =>
        canvas.Rectangle(styles, x - 1.75, y - 6, 3.5, 12, hint);

    /// <summary>Heading and what explains it, lines at the ticks with their labels, and what the axis and the figures beside it are in.</summary>
    public static void Frame(
        SvgCanvas canvas, PanelPlace place, PanelHeading heading, PlotScale scale, int rows,
        Func<double, string> tickLabel, string unit)
    {
        canvas.Write(heading.Text, place.X, place.Y + 12, TextStyle.Heading, widthMax: place.Width);
        var rest = place.Width - SvgCanvas.WidthOf(heading.Text, TextStyle.Heading) - 12;
        if (heading.Words.Length > 0 && rest > 0)
            canvas.Write(heading.Words, place.X + place.Width, place.Y + 12, TextStyle.Note, "end", rest);
        var (top, bottom) = (place.Y + HeadHeight, place.Y + HeadHeight + (rows * RowHeight));
        foreach (var tick in scale.Ticks)
        {
            var x = scale.At(tick);
            canvas.Line("rule", x, top, x, bottom + 3);
            canvas.Write(tickLabel(tick), x, bottom + 15, TextStyle.Note, "middle");
        }

        canvas.Write(unit, place.X + place.Width, bottom + 15, TextStyle.Note, "end", place.ValueWidth - 16);
    }

    public static void Label(SvgCanvas canvas, PanelPlace place, string label, double y) =>
        canvas.Write(label, place.AxisLeft - 8, y + 4, anchor: "end", widthMax: place.LabelWidth - 8);
}
