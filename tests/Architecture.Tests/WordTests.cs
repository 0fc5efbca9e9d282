using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

public sealed partial class WordTests
{
    private static readonly string[] BinaryEndings = [".bin", ".gz", ".png"];

    [Fact]
    public void No_type_has_a_name_that_says_nothing() =>
        Breaches.None(
            from file in SourceTree.CSharp()
            from name in CSharpMembers.TypeNames(SourceTree.Read(file))
            where EmptyName().IsMatch(name)
            select $"{file}: {name}");

    [Fact]
    public void Nothing_is_left_for_later_in_the_sources() =>
        Breaches.None(Matches(LeftForLater(), file => Path.GetExtension(file) is ".cs" or ".sh"));

    // A test that cannot run says so at run time, by name of what is missing; none is switched off in its source.
    [Fact]
    public void No_test_is_switched_off() =>
        Breaches.None(
            from file in SourceTree.CSharp("tests")
            from Match match in SwitchedOff().Matches(CSharpText.CodeOf(SourceTree.Read(file)))
            select $"{file}: {match.Value}");

    [Fact]
    public void No_file_names_a_package_registry_or_a_path_of_one_machine() =>
        Breaches.None(
            Matches(Registry(), IsText).Concat(Matches(MachinePath(), IsText)));

    private static bool IsText(string file) =>
        !BinaryEndings.Any(e => file.EndsWith(e, StringComparison.Ordinal))
        && !file.EndsWith(nameof(WordTests) + ".cs", StringComparison.Ordinal);

    private static IEnumerable<string> Matches(Regex pattern, Func<string, bool> include) =>
        from file in SourceTree.Files.Where(include)
        where !file.EndsWith(nameof(WordTests) + ".cs", StringComparison.Ordinal)
        from line in SourceTree.Read(file).Split('\n').Index()
        where pattern.IsMatch(line.Item)
        select $"{file}:{line.Index + 1}: {line.Item.Trim()}";

    [GeneratedRegex("(Manager|Helper|Helpers|Utils?|Utility|Utilities)$")]
    private static partial Regex EmptyName();

    [GeneratedRegex(@"\b(TODO|FIXME|HACK|XXX)\b")]
    private static partial Regex LeftForLater();

    [GeneratedRegex(@"\b(Skip|Explicit)\s*=(?!=)")]
    private static partial Regex SwitchedOff();

    [GeneratedRegex(
        @"nuget\.org|npmjs\.(org|com)|pypi\.org|deb\.debian\.org|proxy\.golang\.org|pkgs\.dev\.azure",
        RegexOptions.IgnoreCase)]
    private static partial Regex Registry();

    [GeneratedRegex(@"(?<![\w.}])/(work|root|home)/\w|\b[A-Z]:\\Users\b")]
    private static partial Regex MachinePath();
}
