using ZeroFlow.Perf.Plots;

namespace ZeroFlow.Perf.Reports;

/// <summary>Writes a report for machines and for people.</summary>
internal static class ReportFiles
{
    /// <summary>
    /// Writes <paramref name="path"/> with <c>.json</c> and with <c>.md</c>, and its pictures beside them, and says so.
    /// </summary>
    public static void Write<T>(string path, T report, string title)
        where T : IReport
    {
        var full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full + ".json", JsonFile.Serialize(report));
        var plots = WritePlots(full, report, title);
        WriteMarkdown(full, report, title, plots);
        Console.Error.WriteLine($"Wrote {full}.json, .md and {plots.Count} plots");
    }

    /// <summary>Writes the pictures of a report.</summary>
    public static IReadOnlyList<PlotFile> WritePlots(string path, IReport report, string title)
    {
        var plots = report.Plots(title);
        foreach (var plot in plots) File.WriteAllText(PathOf(path, plot), plot.Svg);
        return plots;
    }

    /// <summary>Writes the text of a report, with its pictures in it.</summary>
    public static void WriteMarkdown(string path, IReport report, string title, IReadOnlyList<PlotFile> plots) =>
        File.WriteAllText(path + ".md", WithPlots(report.Markdown(title), Path.GetFileName(path), plots));

    /// <summary>Where a picture of the report at <paramref name="path"/> goes.</summary>
    public static string PathOf(string path, PlotFile plot) => $"{path}-{plot.Suffix}.svg";

    /// <summary>A text with its pictures behind the conditions, before the first table.</summary>
    public static string WithPlots(string markdown, string name, IReadOnlyList<PlotFile> plots)
    {
        var images = string.Concat(plots.Select(plot => $"![{Capital(plot.Caption)}]({PathOf(name, plot)})\n\n"));
        var tables = markdown.IndexOf("\n## ", StringComparison.Ordinal) + 1;
        return markdown.Insert(tables > 0 ? tables : markdown.Length, images);
    }

    private static string Capital(string caption) => char.ToUpperInvariant(caption[0]) + caption[1..];
}
