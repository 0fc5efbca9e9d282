using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

// A row of SECURITY.md is worth what its tests are, so they must exist by the names that it has for them.
public sealed partial class SecurityTests
{
    private const string Document = "SECURITY.md";

    [Fact]
    public void Every_test_that_the_threat_model_names_exists()
    {
        MatchCollection named = Named().Matches(SourceTree.Read(Document));
        Assert.True(named.Count > 20, "The document names hardly any tests.");
        Breaches.None(
            from name in named
            where !Exists(name.Groups["type"].Value, name.Groups["test"].Value)
            select $"{Document}: {name.Value}");
    }

    private static bool Exists(string type, string test) =>
        SourceTree.CSharp("tests").Any(file => Path.GetFileName(file) == $"{type}.cs"
            && Regex.IsMatch(SourceTree.Read(file), $@"public (async )?(Task|void) {test}\("));

    [GeneratedRegex(@"`(?<type>\w+Tests)\.(?<test>\w+)`")]
    private static partial Regex Named();
}
