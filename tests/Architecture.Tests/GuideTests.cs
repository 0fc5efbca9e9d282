using System.Text.RegularExpressions;

namespace ZeroFlow.Architecture.Tests;

// What the guides quote is what the program says: messages, metrics, alerts and settings by their names.
public sealed partial class GuideTests
{
    private const string Troubleshooting = "docs/guides/troubleshooting.md";

    // Messages are put together from pieces, over several lines of source.
    private static readonly Lazy<string> Source = new(() => Joint().Replace(
        string.Join('\n', SourceTree.CSharp("src").Select(SourceTree.Read)), ""));

    public static TheoryData<string> Guides => [.. SourceTree.Files.Where(static file => file.StartsWith("docs/guides/", StringComparison.Ordinal))];

    [Fact]
    public void Every_message_that_is_quoted_is_in_the_source()
    {
        string text = SourceTree.Read(Troubleshooting);
        string[] quoted =
        [
            .. Quoted().Matches(text).Select(static match => match.Groups[1].Value),

            // In the tables of reasons, the first column is a part of a message; in others it is something to look at.
            .. Reason().Matches(text).Select(static match => match.Groups[1].Value).Where(static reason => reason.Contains(' ')),
        ];
        Assert.True(quoted.Length > 25, "The page quotes hardly anything.");
        Breaches.None(
            from message in quoted
            from piece in message.Split('…', StringSplitOptions.RemoveEmptyEntries)
            where piece.Trim().Length > 3 && !IsInSource(piece.Trim())
            select $"{Troubleshooting}: `{message}`: no source has \"{piece.Trim()}\"");
    }

    [Theory]
    [MemberData(nameof(Guides))]
    public void Metrics_alerts_and_settings_that_a_guide_names_exist(string guide)
    {
        string text = SourceTree.Read(guide);
        string metrics = SourceTree.Read("docs/guides/metrics.md");
        string rules = SourceTree.Read("ops/prometheus/zeroflow.rules.yml");
        string tuning = SourceTree.Read("src/Host/Configuration/TuningTable.cs");
        string keys = SourceTree.Read("src/Host/Configuration/SettingKeys.cs");
        Breaches.None(Metric().Matches(text).Select(m => m.Groups[1].Value)
            .Where(name => !metrics.Contains($"| `{name}` |", StringComparison.Ordinal)).Select(name => $"{guide}: no metric {name}"));
        Breaches.None(Alert().Matches(text).Select(m => m.Groups[1].Value)
            .Where(name => !rules.Contains($"- alert: {name}\n", StringComparison.Ordinal)).Select(name => $"{guide}: no alert {name}"));
        Breaches.None(Recorded().Matches(text).Select(m => m.Groups[1].Value)
            .Where(name => !rules.Contains($"- record: {name}\n", StringComparison.Ordinal)).Select(name => $"{guide}: no rule {name}"));
        Breaches.None(Tuning().Matches(text).Select(m => m.Groups[1].Value).Where(name => !tuning.Contains($"nameof(StoreOptions.{name})", StringComparison.Ordinal))
            .Select(name => $"{guide}: no setting Tuning:{name}"));
        Breaches.None(Key().Matches(text).Select(m => m.Groups[1].Value).Where(name => !keys.Contains($"\"{name}\"", StringComparison.Ordinal))
            .Select(name => $"{guide}: no setting {name}"));
    }

    // Values stand in braces in the source, where a guide has an ellipsis, or one of the values that there may be.
    private static bool IsInSource(string piece) => Source.Value.Contains(piece, StringComparison.Ordinal)
        || Source.Value.Contains(piece.TrimEnd('.', ':', ';'), StringComparison.Ordinal);

    [GeneratedRegex("\"\\s*\\+\\s*\\$?\"")]
    private static partial Regex Joint();

    [GeneratedRegex("^> `(.+)`$", RegexOptions.Multiline)]
    private static partial Regex Quoted();

    [GeneratedRegex("^\\| `([^`]+)` \\|", RegexOptions.Multiline)]
    private static partial Regex Reason();

    [GeneratedRegex("`(zeroflow_[a-z_]+)`")]
    private static partial Regex Metric();

    [GeneratedRegex("`(ZeroFlow[A-Z]\\w+)`")]
    private static partial Regex Alert();

    [GeneratedRegex("`(zeroflow:[a-z_:]+)`")]
    private static partial Regex Recorded();

    [GeneratedRegex("Tuning:([A-Z]\\w+)")]
    private static partial Regex Tuning();

    [GeneratedRegex("\\b((?:Admin|Tls|Telemetry):[A-Z]\\w+(?::\\w+)?)")]
    private static partial Regex Key();
}
