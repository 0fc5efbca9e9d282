namespace ZeroFlow.Perf.Reports;

/// <summary>Writes a report twice: for machines and for people.</summary>
internal static class ReportFiles
{
    /// <summary>Writes <paramref name="path"/> with <c>.json</c> and with <c>.md</c>, and says so.</summary>
    public static void Write<T>(string path, T report, string markdown)
    {
        var full = Path.GetFullPath(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full + ".json", JsonFile.Serialize(report));
        File.WriteAllText(full + ".md", markdown);
        Console.Error.WriteLine($"Wrote {full}.json and {full}.md");
    }
}
