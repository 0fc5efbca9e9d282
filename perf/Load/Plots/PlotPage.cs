namespace ZeroFlow.Perf.Plots;

/// <summary>Panels in columns below a title, notes and a key.</summary>
internal static class PlotPage
{
    public const double Width = 880;

    private const double Margin = 20;
    private const double ColumnGap = 28;
    private const double RowGap = 16;
    private const double HeadGap = 6;
    private const double LineHeight = 18;
    private const double LabelWidthMax = 210;

    public static string Render(PlotHead head, IReadOnlyList<IPlotPanel> panels, int columns, double valueWidth)
    {
        var rows = panels.Chunk(columns).ToArray();
        var headHeight = Margin + 24 + ((head.Notes.Count + head.Key.Count) * LineHeight) + HeadGap + 16;
        var height = headHeight + rows.Sum(row => row.Max(panel => panel.Height) + RowGap) + Margin - RowGap;
        var canvas = new SvgCanvas(
            Width, Math.Max(height, headHeight), head.Title,
            string.Join(" ", head.Notes.Concat(panels.Select(panel => panel.Description))));
        DrawHead(canvas, head);
        var panelWidth = (Width - (2 * Margin) - ((columns - 1) * ColumnGap)) / columns;
        var labelWidth = Math.Min(
            LabelWidthMax,
            panels.SelectMany(panel => panel.Labels).Select(label => SvgCanvas.WidthOf(label) + 10).DefaultIfEmpty(0).Max());
        var y = headHeight;
        foreach (var row in rows)
        {
            for (var column = 0; column < row.Length; column++)
            {
                var x = Margin + (column * (panelWidth + ColumnGap));
                row[column].Draw(canvas, new PanelPlace(x, y, panelWidth, labelWidth, valueWidth));
            }

            y += row.Max(panel => panel.Height) + RowGap;
        }

        return canvas.ToString();
    }

    private static void DrawHead(SvgCanvas canvas, PlotHead head)
    {
        const double InnerWidth = Width - (2 * Margin);
        var y = Margin + 14;
        canvas.Write(head.Title, Margin, y, TextStyle.Title, widthMax: InnerWidth);
        y += 6;
        foreach (var note in head.Notes)
        {
            y += LineHeight;
            canvas.Write(note, Margin, y, TextStyle.Note, widthMax: InnerWidth);
        }

        y += HeadGap;
        foreach (var entry in head.Key)
        {
            y += LineHeight;
            DrawKey(canvas, entry, Margin + 8, y - 4);
            canvas.Write(entry.Text, Margin + 26, y, widthMax: InnerWidth - 26);
        }
    }

    private static void DrawKey(SvgCanvas canvas, KeyEntry entry, double x, double y)
    {
        var styles = $"mark {PlotColors.ClassOf(entry.Who)}";
        switch (entry.Mark)
        {
            case KeyMark.Whisker:
                PanelMarks.Whisker(canvas, x - 8, x + 8, y);
                break;
            case KeyMark.Circle:
                PanelMarks.Circle(canvas, styles, x, y);
                break;
            case KeyMark.Diamond:
                PanelMarks.Diamond(canvas, styles, x, y);
                break;
            case KeyMark.Stroke:
                PanelMarks.Stroke(canvas, styles, x, y);
                break;
            default:
                canvas.Rectangle(styles, x - 8, y - 5, 16, 10);
                break;
        }
    }
}
