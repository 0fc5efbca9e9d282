using System.Globalization;
using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

// The pipeline is told in three places: the design's numbers in docs/architecture.md, the file that builds the graph,
// and the places where each stage is implemented. A reader who knows one of them must be able to trust the others.
public sealed partial class StageTests
{
    private const string Document = "docs/architecture.md";

    private static readonly (int Number, string Name)[] Design =
    [
        (1, "admit"), (2, "sequence"), (3, "journal"), (4, "chunk"), (5, "compress"),
        (6, "seal"), (7, "table"), (8, "upload"), (9, "commit"), (10, "settle"),
    ];

    [Fact]
    public void The_document_lists_the_stages_of_the_design()
    {
        Assert.True(SourceTree.Exists(Document), $"{Document} is missing");
        var rows = Rows().Matches(SourceTree.Read(Document)).Select(Stage);
        Assert.Equal(Design, rows);
    }

    [Fact]
    public void One_file_builds_the_graph_in_the_order_of_the_document()
    {
        var graphs = SourceTree.CSharp("src/Stages")
            .Select(file => (file, Stages: Markers().Matches(SourceTree.Read(file)).Select(Stage).ToArray()))
            .Where(f => Pipelined.All(f.Stages.Contains))
            .ToArray();
        var graph = Assert.Single(graphs);
        Assert.Equal(Pipelined, graph.Stages.Distinct().Where(s => Pipelined.Contains(s)));
    }

    [Fact]
    public void Every_stage_is_marked_where_it_is_built_by_the_number_of_the_document()
    {
        var markers = SourceTree.CSharp("src")
            .SelectMany(file => Markers().Matches(SourceTree.Read(file)).Select(m => (file, Stage: Stage(m))))
            .ToArray();
        Breaches.None(
            markers.Where(m => !Design.Contains(m.Stage)).Select(m => $"{m.file}: ({m.Stage.Number}) {m.Stage.Name}"));
        Assert.Empty(Implemented.Except(markers.Select(m => m.Stage)));
    }

    // The names in the metrics are the names of the design, so that a dashboard reads like the document.
    [Fact]
    public void Stages_are_measured_under_their_names()
    {
        var names = Design.Select(s => s.Name).Append("cut").ToHashSet();
        var measured = SourceTree.CSharp("src")
            .SelectMany(file => Measured().Matches(SourceTree.Read(file)).Select(m => m.Groups[1].Value))
            .ToArray();
        Assert.NotEmpty(measured);
        Breaches.None(measured.Except(names));
    }

    // Settling runs beside the pipeline and is not a link of the graph.
    private static IEnumerable<(int Number, string Name)> Pipelined => Implemented.Where(s => s.Number >= 2);

    private static IEnumerable<(int Number, string Name)> Implemented => Design.Where(s => s.Number <= 9);

    private static (int Number, string Name) Stage(Match match) =>
        (int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), match.Groups[2].Value);

    [GeneratedRegex(@"^\|\s*\((\d+)\)\s*\|\s*[`*]*([a-z]+)[`*]*\s*\|", RegexOptions.Multiline)]
    private static partial Regex Rows();

    [GeneratedRegex(@"^\s*//\s*\((\d+)\)\s+([a-z]+)\b", RegexOptions.Multiline)]
    private static partial Regex Markers();

    [GeneratedRegex(@"AddStage\(\s*""([a-z]+)""")]
    private static partial Regex Measured();
}
