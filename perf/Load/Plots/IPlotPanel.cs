namespace ZeroFlow.Perf.Plots;

/// <summary>What a panel is about.</summary>
/// <param name="Text">Its name, as in the tables.</param>
/// <param name="Words">The same in words, if the name needs any.</param>
internal sealed record PanelHeading(string Text, string Words = "");

/// <summary>A small plot with its own axis.</summary>
internal interface IPlotPanel
{
    /// <summary>Its figures as a sentence, for those who do not see the picture.</summary>
    string Description { get; }

    double Height { get; }

    /// <summary>Names in front of the axis.</summary>
    IEnumerable<string> Labels { get; }

    void Draw(SvgCanvas canvas, PanelPlace place);
}

/// <summary>Where a panel is, and the axis within it.</summary>
internal readonly record struct PanelPlace(double X, double Y, double Width, double LabelWidth, double ValueWidth)
{
    public double AxisLeft => X + LabelWidth;

    public double AxisWidth => Width - LabelWidth - ValueWidth;

    public double AxisRight => AxisLeft + AxisWidth;
}
