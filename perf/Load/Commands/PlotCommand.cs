using System.CommandLine;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>plot</c>: the pictures of results that were stored before.</summary>
internal static class PlotCommand
{
    public static Command Create()
    {
        var results = new Argument<string[]>("results")
        {
            Description = "Reports of compare, compare-replay, compare-s3 or compare-pgbench, as JSON",
            Arity = ArgumentArity.OneOrMore,
        };
        var title = new Option<string?>("--title") { Description = "Else that of the text beside it" };
        var markdown = new Option<bool>("--markdown") { Description = "Write the text anew, too, with the pictures in it" };
        var command = new Command("plot", "Draw stored results") { results, title, markdown };
        command.SetAction(parsed =>
        {
            foreach (var result in parsed.GetRequiredValue(results))
                Draw(result, parsed.GetValue(title), parsed.GetValue(markdown));
        });
        return command;
    }

    private static void Draw(string result, string? title, bool writesMarkdown)
    {
        var path = Path.ChangeExtension(Path.GetFullPath(result), null);
        var report = StoredReport.Parse(File.ReadAllText(result));
        var shown = title ?? TitleBeside(path);
        var plots = ReportFiles.WritePlots(path, report, shown);
        if (writesMarkdown) ReportFiles.WriteMarkdown(path, report, shown, plots);
        foreach (var plot in plots) Console.Out.WriteLine(ReportFiles.PathOf(path, plot));
    }

    private static string TitleBeside(string path)
    {
        var text = path + ".md";
        var heading = File.Exists(text)
            ? File.ReadLines(text).FirstOrDefault(line => line.StartsWith("# ", StringComparison.Ordinal))
            : null;
        return heading?[2..].Trim() ?? Path.GetFileName(path);
    }
}
