using ZeroFlow.Perf.Commands;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Tests.Plots;

public sealed class StoredReportTests
{
    private static readonly string Results = Path.Combine(RootOf(AppContext.BaseDirectory), "perf/results");

    [Fact]
    public void Pictures_of_stored_results_are_those_of_their_figures()
    {
        string[] pictures = Directory.GetFiles(Results, "*.svg");
        Assert.NotEmpty(pictures);
        var drawn = new HashSet<string>();
        foreach (string json in Directory.GetFiles(Results, "*.json"))
        {
            string path = Path.ChangeExtension(json, null);
            if (!pictures.Any(picture => picture.StartsWith(path + "-", StringComparison.Ordinal))) continue;
            string title = File.ReadLines(path + ".md").First()[2..];
            foreach (PlotFile plot in StoredReport.Parse(File.ReadAllText(json)).Plots(title))
            {
                string picture = ReportFiles.PathOf(path, plot);
                Assert.True(File.ReadAllText(picture) == plot.Svg, $"Draw {picture} anew, with zeroflow-perf plot.");
                Assert.Contains($"]({Path.GetFileName(picture)})", File.ReadAllText(path + ".md"), StringComparison.Ordinal);
                drawn.Add(picture);
            }
        }

        Assert.Equal(pictures.Order(), drawn.Order());
    }

    [Theory]
    [InlineData("2026-11-23-core", typeof(CompareReport), 3)]
    [InlineData("2026-11-28-core", typeof(CompareReport), 3)]
    [InlineData("2026-11-28-replay", typeof(ReplayReport), 4)]
    [InlineData("2026-11-28-s3", typeof(S3Report), 2)]
    public void Each_kind_of_report_is_read_as_it_was_written(string name, Type kind, int pictures)
    {
        string json = File.ReadAllText(Path.Combine(Results, name + ".json"));
        IReport report = StoredReport.Parse(json);
        Assert.IsType(kind, report);
        IReadOnlyList<PlotFile> plots = report.Plots("title");
        Assert.Equal(pictures, plots.Count);
        foreach (PlotFile plot in plots)
        {
            var picture = new SvgPicture(plot);
            Assert.StartsWith("title: ", picture.Title, StringComparison.Ordinal);
            Assert.NotEmpty(picture.Of("rect").Skip(1));
        }
    }

    [Fact]
    public void The_command_writes_pictures_and_text_beside_the_figures()
    {
        string directory = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string json = Path.Combine(directory, "result.json");
            File.WriteAllText(json, JsonFile.Serialize(Sample.Report(["zeroflow"], Sample.Run("zeroflow", 1, 10))));
            Assert.Equal(0, PlotCommand.Create().Parse([json, "--title", "a title", "--markdown"]).Invoke());
            Assert.Equal(
                ["result-cpu.svg", "result-latency.svg", "result-requests.svg", "result.json", "result.md"],
                Directory.GetFiles(directory).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            string text = File.ReadAllText(Path.Combine(directory, "result.md"));
            Assert.StartsWith("# a title\n", text, StringComparison.Ordinal);
            int image = text.IndexOf("![Requests a second](result-requests.svg)", StringComparison.Ordinal);
            Assert.InRange(image, 1, text.IndexOf("\n## ", StringComparison.Ordinal));

            // The next time it takes the title from the text.
            Assert.Equal(0, PlotCommand.Create().Parse([json]).Invoke());
            Assert.Contains("a title: requests a second", File.ReadAllText(Path.Combine(directory, "result-requests.svg")), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{ "settings": 1 }""")]
    [InlineData("""{ "settings": { "base": "zeroflow" } }""")]
    [InlineData("""{ "sigma": 1 }""")]
    public void What_is_no_report_is_refused(string json) => Assert.Throws<FormatException>(() => StoredReport.Parse(json));

    private static string RootOf(string path) =>
        File.Exists(Path.Combine(path, "ZeroFlow.sln")) ? path : RootOf(Path.GetDirectoryName(path)!);
}
