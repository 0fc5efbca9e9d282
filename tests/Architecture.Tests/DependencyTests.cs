using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace ZeroFlow.Architecture.Tests;

// Host -> {Nbd, Stages} -> Pipeline: the wire does not know how blocks are stored, and the store knows no wire.
public sealed partial class DependencyTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Pipeline"] = [],
        ["Nbd"] = ["Pipeline"],
        ["Stages"] = ["Pipeline"],
        ["Host"] = ["Pipeline", "Nbd", "Stages"],
    };

    private static IEnumerable<string> ProductProjects =>
        SourceTree.Projects.Where(p => p.StartsWith("src/", StringComparison.Ordinal));

    [Fact]
    public void The_product_is_four_projects() =>
        Assert.Equal(
            Allowed.Keys.Order(),
            ProductProjects.Select(p => p.Split('/')[1]).Order());

    [Fact]
    public void Project_references_run_downwards_only() =>
        Breaches.None(
            from layer in Allowed
            from reference in References($"src/{layer.Key}/ZeroFlow.{layer.Key}.csproj", "ProjectReference")
            let target = Path.GetFileNameWithoutExtension(reference).Replace("ZeroFlow.", "", StringComparison.Ordinal)
            where !layer.Value.Contains(target)
            select $"{layer.Key} references {target}");

    // A name of an upper layer in a lower one is a dependency, even where the compiler could be talked into it.
    [Fact]
    public void Sources_name_no_layer_that_they_may_not_see() =>
        Breaches.None(
            from layer in Allowed
            from file in SourceTree.CSharp($"src/{layer.Key}")
            from Match match in LayerName().Matches(CSharpText.CodeOf(SourceTree.Read(file)))
            let target = match.Groups[1].Value
            where target != layer.Key && !layer.Value.Contains(target)
            select $"{file} names ZeroFlow.{target}");

    [Fact]
    public void The_vocabulary_needs_no_package() =>
        Breaches.None(References("src/Pipeline/ZeroFlow.Pipeline.csproj", "PackageReference"));

    [Fact]
    public void The_product_refers_to_no_test_code() =>
        Breaches.None(
            from project in ProductProjects
            from reference in References(project, "ProjectReference")
            where reference.Split('/').Any(part => part is "tests" or "perf")
            select $"{project} references {reference}");

    [Fact]
    public void Namespaces_are_folders() =>
        Breaches.None(
            from file in SourceTree.CSharp("src")
            let match = Namespace().Match(CSharpText.CodeOf(SourceTree.Read(file)))
            where match.Success
            let parts = file.Split('/')
            let expected = "ZeroFlow." + string.Join('.', parts[1..^1])
            where match.Groups[1].Value != expected
            select $"{file} is in {match.Groups[1].Value}, its folder says {expected}");

    [Fact]
    public void Every_project_has_a_lock_file() =>
        Breaches.None(SourceTree.Projects
            .Select(p => Path.GetDirectoryName(p)!.Replace('\\', '/') + "/packages.lock.json")
            .Where(f => !SourceTree.Files.Contains(f)));

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = SourceTree.Read("ZeroFlow.sln").Replace('\\', '/');
        Breaches.None(SourceTree.Projects.Where(p => !solution.Contains(p, StringComparison.Ordinal)));
    }

    private static IEnumerable<string> References(string project, string element) =>
        XDocument.Parse(SourceTree.Read(project)).Descendants(element).Select(e => (string)e.Attribute("Include")!);

    [GeneratedRegex(@"\bZeroFlow\.(Pipeline|Stages|Nbd|Host)\b")]
    private static partial Regex LayerName();

    [GeneratedRegex(@"^\s*namespace\s+([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace();
}
