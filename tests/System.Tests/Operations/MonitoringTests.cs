using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Interop;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

// The page about metrics, the alert rules and the dashboard speak of what a server shows, by the names and labels that it
// really has; and Prometheus' own tool accepts all that is in its language.
public sealed partial class MonitoringTests(ZeroFlowBinary binary)
{
    private const string Rules = "ops/prometheus/zeroflow.rules.yml";
    private const string RuleTests = "ops/prometheus/zeroflow.test.yml";
    private const string Dashboard = "ops/grafana/zeroflow.json";
    private const string Page = "docs/guides/metrics.md";

    // Given by Prometheus to whatever it scrapes, and by Alertmanager's rules to alerts.
    private static readonly string[] s_added = ["job", "instance", "le", "alertname", "alertstate", "severity"];

    [Fact]
    public async Task The_page_the_rules_and_the_dashboard_name_what_a_server_shows()
    {
        var shown = await ShownAsync();
        var page = PageRow().Matches(await ReadAsync(Page)).ToDictionary(
            row => row.Groups["name"].Value,
            row => (Type: row.Groups["type"].Value, Labels: Label().Matches(row.Groups["labels"].Value).Select(l => l.Groups[1].Value).Order().ToArray()));
        Assert.Equal(shown.Keys.Order(), page.Keys.Order());
        foreach (var (name, metric) in shown)
        {
            Assert.True(metric.Type == page[name].Type, $"{name} is a {metric.Type}, not a {page[name].Type}.");
            Assert.True(metric.Labels.SetEquals(page[name].Labels), $"{name} has the labels {string.Join(", ", metric.Labels)}.");
            Assert.True(
                !name.EndsWith("_seconds", StringComparison.Ordinal) || metric.Help.Length > 0, $"{name} has no help.");
        }

        var rules = await ReadAsync(Rules);
        var recorded = Record().Matches(rules).Select(m => m.Groups[1].Value).ToHashSet();
        string[] ofRules = [.. RuleExpressions(rules)];
        Assert.Equal(Record().Count(rules) + Alert().Count(rules), ofRules.Length);
        foreach (var expression in ofRules.Concat(await DashboardExpressionsAsync())) AssertKnown(expression, shown, recorded);
    }

    [Fact]
    public async Task Every_rule_passes_promtool_and_every_alert_has_a_test_in_which_it_fires()
    {
        Require.Tool("promtool");
        var (status, said, _) = await Tool.TryAsync("promtool", "check", "rules", ProjectRoot.File(Rules));
        Assert.True(status == 0, said);
        (status, said, _) = await Tool.TryAsync("promtool", "test", "rules", ProjectRoot.File(RuleTests));
        Assert.True(status == 0, said);

        var tests = await ReadAsync(RuleTests);
        var alerts = Alert().Matches(await ReadAsync(Rules)).Select(m => m.Groups[1].Value).ToArray();
        Assert.True(alerts.Length >= 15);
        Assert.All(alerts, alert => Assert.Contains($"alertname=\"{alert}\", alertstate=\"firing\"", tests, StringComparison.Ordinal));
    }

    // Grafana's own variables stand for a time and for names; with those put in, each must be an expression of Prometheus.
    [Fact]
    public async Task Every_expression_of_the_dashboard_is_one_of_Prometheus()
    {
        Require.Tool("promtool");
        using var folder = new TestFolder();
        var text = new StringBuilder("groups:\n- name: dashboard\n  rules:\n");
        var number = 0;
        foreach (var expression in await DashboardExpressionsAsync())
        {
            var plain = expression.Replace("$__rate_interval", "5m", StringComparison.Ordinal);
            text.Append("  - record: panel:expression").Append(number++).Append("\n    expr: ").Append(JsonSerializer.Serialize(plain)).Append('\n');
        }

        await File.WriteAllTextAsync(folder["rules.yml"], text.ToString(), TestContext.Current.CancellationToken);
        var (status, said, _) = await Tool.TryAsync("promtool", "check", "rules", folder["rules.yml"]);
        Assert.True(status == 0 && number > 30, said);
    }

    [Fact]
    public async Task The_dashboard_has_what_Grafana_asks_of_one()
    {
        using var document = JsonDocument.Parse(await ReadAsync(Dashboard));
        var root = document.RootElement;
        Assert.Equal("zeroflow", root.GetProperty("uid").GetString());
        Assert.True(root.GetProperty("schemaVersion").GetInt32() >= 36);
        Assert.Contains(root.GetProperty("templating").GetProperty("list").EnumerateArray(), v => v.GetProperty("name").GetString() == "datasource");
        var panels = root.GetProperty("panels").EnumerateArray().ToArray();
        Assert.Equal(panels.Length, panels.Select(panel => panel.GetProperty("id").GetInt32()).Distinct().Count());
        var taken = new HashSet<(int, int)>();
        foreach (var panel in panels)
        {
            var place = panel.GetProperty("gridPos");
            var (x, y) = (place.GetProperty("x").GetInt32(), place.GetProperty("y").GetInt32());
            var (w, h) = (place.GetProperty("w").GetInt32(), place.GetProperty("h").GetInt32());
            Assert.InRange(x + w, 1, 24);
            for (var cell = 0; cell < w * h; cell++)
                Assert.True(taken.Add((x + (cell % w), y + (cell / w))), $"{panel.GetProperty("title")} lies on another panel.");
            if (panel.GetProperty("type").GetString() == "row") continue;
            Assert.NotEmpty(panel.GetProperty("description").GetString()!);
            Assert.NotEmpty(panel.GetProperty("targets").EnumerateArray());
            Assert.Equal("${datasource}", panel.GetProperty("datasource").GetProperty("uid").GetString());
        }
    }

    private static void AssertKnown(string expression, Dictionary<string, Metric> shown, HashSet<string> recorded)
    {
        var uses = Use().Matches(expression);
        Assert.True(uses.Count > 0 || expression.Contains("up{", StringComparison.Ordinal), $"No metric was found in: {expression}");
        foreach (Match use in uses)
        {
            var name = use.Groups["name"].Value;
            if (recorded.Contains(name)) continue;
            var family = name;
            if (!shown.ContainsKey(family)) family = Suffix().Replace(name, "");
            Assert.True(shown.TryGetValue(family, out var metric), $"A server shows no {name}, which is used in: {expression}");
            Assert.True(family == name || metric!.Type == "histogram", $"{family} is no histogram; it is used in: {expression}");
            foreach (Match matcher in Matcher().Matches(use.Groups["labels"].Value))
                AssertLabel(matcher.Groups[1].Value, metric!.Labels, expression);
        }

        var all = shown.Values.SelectMany(metric => metric.Labels).ToHashSet();
        foreach (Match grouping in Grouping().Matches(expression))
        {
            foreach (var label in grouping.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries)) AssertLabel(label, all, expression);
        }
    }

    private static void AssertLabel(string label, HashSet<string> labels, string expression) =>
        Assert.True(labels.Contains(label) || s_added.Contains(label), $"There is no label {label}, which is used in: {expression}");

    private static IEnumerable<string> RuleExpressions(string rules)
    {
        // An expression reaches to the next key of its rule; folded ones are several lines.
        foreach (Match rule in Expression().Matches(rules)) yield return rule.Groups[1].Value;
    }

    private static async Task<IReadOnlyList<string>> DashboardExpressionsAsync()
    {
        using var document = JsonDocument.Parse(await ReadAsync(Dashboard));
        return
        [
            .. document.RootElement.GetProperty("panels").EnumerateArray()
                .Where(panel => panel.TryGetProperty("targets", out _))
                .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
                .Concat(document.RootElement.GetProperty("annotations").GetProperty("list").EnumerateArray())
                .Select(target => target.GetProperty("expr").GetString()!),
        ];
    }

    private static Task<string> ReadAsync(string file) =>
        File.ReadAllTextAsync(ProjectRoot.File(file), TestContext.Current.CancellationToken);

    // A server that has done a bit of everything, with a certificate.
    private async Task<Dictionary<string, Metric>> ShownAsync()
    {
        using var folder = new TestFolder();
        using var tls = new TlsFiles(folder);
        var settings = new ServerSettings(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = ["disk:16M:published"],
            Options = [.. tls.Options("allow")],
            Tuning = new Dictionary<string, string> { ["PublishInterval"] = "50ms" },
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using (var client = await NbdClient.ConnectAsync(server.Port, "disk"))
        {
            await client.WriteAsync(0, new byte[65536]);
            await client.FlushAsync();
            await client.ReadAsync(0, new byte[4096]);
        }

        var text = await server.MetricsTextAsync();
        Assert.Equal(0, await server.StopAsync());
        var shown = new Dictionary<string, Metric>();
        foreach (Match type in Typed().Matches(text)) shown[type.Groups["name"].Value] = new Metric(type.Groups["type"].Value, [], HelpOf(text, type.Groups["name"].Value));
        foreach (Match sample in Sample().Matches(text))
        {
            var name = sample.Groups["name"].Value;
            if (!shown.TryGetValue(name, out var metric)) metric = shown[Suffix().Replace(name, "")];
            foreach (Match label in LabelOf().Matches(sample.Groups["labels"].Value))
            {
                if (label.Groups[1].Value != "le") metric.Labels.Add(label.Groups[1].Value);
            }
        }

        return shown;
    }

    private static string HelpOf(string text, string name) =>
        Regex.Match(text, $"^# HELP {name} (.*)$", RegexOptions.Multiline).Groups[1].Value;

    private sealed record Metric(string Type, HashSet<string> Labels, string Help);

    [GeneratedRegex(@"^\| `(?<name>\w+)` \| (?<type>\w+)[^|]*\|(?<labels>[^|]*)\|", RegexOptions.Multiline)]
    private static partial Regex PageRow();

    [GeneratedRegex("`(\\w+)`")]
    private static partial Regex Label();

    [GeneratedRegex(@"^# TYPE (?<name>\w+) (?<type>\w+)$", RegexOptions.Multiline)]
    private static partial Regex Typed();

    [GeneratedRegex(@"^(?<name>[a-z]\w*)(\{(?<labels>.*)\})? ", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex("(\\w+)=\"")]
    private static partial Regex LabelOf();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex Suffix();

    [GeneratedRegex(@"- record: (\S+)")]
    private static partial Regex Record();

    [GeneratedRegex(@"- alert: (\w+)")]
    private static partial Regex Alert();

    [GeneratedRegex(@"^ +expr: ?>?(.*?)(?=^ +(for|labels|- record):|\n\n|\z)", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Expression();

    [GeneratedRegex(@"(?<name>\b(zeroflow|process|dotnet)[\w:]+)(\{(?<labels>[^}]*)\})?(?=[\s\[)}{,/*+<>=-]|$)")]
    private static partial Regex Use();

    [GeneratedRegex(@"(\w+)\s*(=~|!~|!=|=)")]
    private static partial Regex Matcher();

    [GeneratedRegex(@"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")]
    private static partial Regex Grouping();
}
