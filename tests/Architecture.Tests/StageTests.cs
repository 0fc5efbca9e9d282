using System.Globalization;
using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

// The pipeline is told in three places: the table in docs/architecture.md, the file that builds the graph, and the
// comments where each stage is implemented. A reader who knows one of them must be able to trust the others.
public sealed partial class StageTests
{
    private const string Document = "docs/architecture.md";

    private static readonly (int Number, string Name)[] Design =
    [
        (1, "admit"), (2, "sequence"), (3, "journal"), (4, "chunk"), (5, "compress"),
        (6, "seal"), (7, "table"), (8, "upload"), (9, "commit"), (10, "settle"),
    ];

    // Settling runs beside the pipeline, not in it.
    private static readonly (int Number, string Name)[] Pipeline = Design[..9];

    [Fact]
    public void The_document_lists_the_stages_of_the_design()
    {
        Assert.True(SourceTree.Exists(Document), $"{Document} is missing");
        var rows = Rows().Matches(SourceTree.Read(Document)).Select(Stage).ToArray();
        Assert.Equal(Pipeline, rows.Take(Pipeline.Length));
        Assert.Empty(rows.Except(Design));
    }

    [Fact]
    public void One_file_links_the_graph_in_the_order_of_the_document()
    {
        var linking = SourceTree.CSharp("src")
            .Where(file => CSharpText.CodeOf(SourceTree.Read(file)).Contains(".LinkTo(", StringComparison.Ordinal));
        var graph = SourceTree.Read(Assert.Single(linking));
        Assert.Equal(Pipeline, Markers(graph).Distinct());
        Assert.Equal(
            Pipeline.Skip(3).Select(s => s.Name), Options().Matches(graph).Select(m => m.Groups[1].Value));
    }

    [Fact]
    public void Every_stage_is_marked_where_it_is_implemented()
    {
        var markers = SourceTree.CSharp("src").SelectMany(file => Markers(SourceTree.Read(file)));
        Assert.Empty(Pipeline.Except(markers));
    }

    [Fact]
    public void No_stage_is_marked_by_another_number() =>
        Breaches.None(
            from file in SourceTree.CSharp("src")
            from marker in Markers(SourceTree.Read(file))
            where Design.Any(stage => stage.Name == marker.Name) && !Design.Contains(marker)
            select $"{file}: ({marker.Number}) {marker.Name}");

    // The names in the metrics are the names of the design, so that a dashboard reads like the document.
    [Fact]
    public void Stages_are_measured_under_their_names()
    {
        var names = Design.Select(s => s.Name).Append("cut").ToHashSet();
        var measured = SourceTree.CSharp("src")
            .SelectMany(file => Measured().Matches(SourceTree.Read(file)).Select(m => m.Groups[1].Value))
            .ToArray();
        Assert.NotEmpty(measured);
        Assert.Empty(measured.Except(names));
    }

    private static IEnumerable<(int Number, string Name)> Markers(string text) =>
        Comments().Matches(text).SelectMany(comment => Mark().Matches(comment.Value)).Select(Stage);

    private static (int Number, string Name) Stage(Match match) =>
        (int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture), match.Groups[2].Value);

    [GeneratedRegex(@"^\|\s*\((\d+)\)\s*\|\s*[`*]*([a-z]+)[`*]*\s*\|", RegexOptions.Multiline)]
    private static partial Regex Rows();

    [GeneratedRegex(@"^\s*//.*$", RegexOptions.Multiline)]
    private static partial Regex Comments();

    [GeneratedRegex(@"\((\d+)\) ([a-z]+)\b")]
    private static partial Regex Mark();

    [GeneratedRegex(@"new StageOptions\(\s*""([a-z]+)""")]
    private static partial Regex Options();

    [GeneratedRegex(@"(?:AddStage|new StageOptions)\(\s*""([a-z]+)""")]
    private static partial Regex Measured();
}
