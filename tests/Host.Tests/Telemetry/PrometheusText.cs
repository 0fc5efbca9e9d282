using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace ZeroFlow.Host.Tests.Telemetry;

/// <summary>
/// A strict reader of the Prometheus text format 0.0.4: it refuses everything that the format does not promise, above
/// all families in pieces, repeated series, histograms that do not add up, and missing line ends.
/// </summary>
internal sealed partial class PrometheusText
{
    private const string Label = @"[a-zA-Z_]\w*=""(?:[^""\\]|\\[\\""n])*""";

    private readonly Dictionary<string, string> _types = [];
    private readonly HashSet<string> _finished = [];
    private string? _family;

    private PrometheusText()
    {
    }

    /// <summary>Samples by name and labels, exactly as written.</summary>
    public Dictionary<string, double> Samples { get; } = [];

    public IReadOnlyDictionary<string, string> Types => _types;

    public static PrometheusText Parse(byte[] utf8)
    {
        string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(utf8);
        Assert.EndsWith("\n", text, StringComparison.Ordinal);
        var parsed = new PrometheusText();
        foreach (string line in text.TrimEnd('\n').Split('\n')) parsed.ReadLine(line);
        foreach ((string name, string type) in parsed._types)
        {
            if (type == "histogram") parsed.CheckHistogram(name);
        }

        return parsed;
    }

    private void ReadLine(string line)
    {
        if (HelpLine().Match(line) is { Success: true } help) BeginFamily(help.Groups[1].Value);
        else if (TypeLine().Match(line) is { Success: true } type) SetType(type.Groups[1].Value, type.Groups[2].Value);
        else ReadSample(line);
    }

    private void BeginFamily(string name)
    {
        if (_family is not null) Assert.True(_types.ContainsKey(_family), $"{_family} has no type");
        if (_family is not null) _finished.Add(_family);
        Assert.DoesNotContain(name, _finished);
        _family = name;
    }

    private void SetType(string name, string type)
    {
        Assert.Equal(_family, name);
        Assert.True(_types.TryAdd(name, type), $"{name} has two types");
    }

    private void ReadSample(string line)
    {
        Match match = SampleLine().Match(line);
        Assert.True(match.Success, $"not a line of the format: {line}");
        string name = match.Groups["name"].Value;
        bool isHistogram = _types[_family!] == "histogram";
        string[] allowed = isHistogram ? [$"{_family}_bucket", $"{_family}_sum", $"{_family}_count"] : [_family!];
        Assert.Contains(name, allowed);
        string[] labels = [.. LabelPair().Matches(match.Groups["labels"].Value).Select(m => m.Groups[1].Value)];
        Assert.Equal(labels.Distinct(), labels);
        string value = match.Groups["value"].Value;
        double number = value switch
        {
            "+Inf" => double.PositiveInfinity,
            "-Inf" => double.NegativeInfinity,
            _ => double.Parse(value, NumberStyles.Float, CultureInfo.InvariantCulture),
        };
        Assert.True(Samples.TryAdd(line[..line.LastIndexOf(' ')], number), $"repeated series: {line}");
    }

    private void CheckHistogram(string family)
    {
        foreach (string count in Samples.Keys.Where(k => k.Split('{')[0] == $"{family}_count").ToArray())
        {
            string labels = count.Contains('{', StringComparison.Ordinal) ? count[(count.IndexOf('{') + 1)..^1] : "";
            string prefix = labels.Length == 0 ? $"{family}_bucket{{le=\"" : $"{family}_bucket{{{labels},le=\"";
            (string Bound, double Value)[] buckets =
            [
                .. Samples.Where(s => s.Key.StartsWith(prefix, StringComparison.Ordinal))
                    .Select(s => (s.Key[prefix.Length..^2], s.Value)),
            ];
            Assert.Equal("+Inf", buckets[^1].Bound);
            Assert.Equal(Samples[count], buckets[^1].Value);
            Assert.Equal(buckets.Select(b => b.Value).Order(), buckets.Select(b => b.Value));
            double[] bounds = [.. buckets[..^1].Select(b => double.Parse(b.Bound, CultureInfo.InvariantCulture))];
            Assert.Equal(bounds.Order().Distinct(), bounds);
            string sum = count.Replace($"{family}_count", $"{family}_sum", StringComparison.Ordinal);
            Assert.True(Samples.ContainsKey(sum));
        }
    }

    [GeneratedRegex(@"^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (?:[^\\]|\\\\|\\n)+$")]
    private static partial Regex HelpLine();

    [GeneratedRegex("^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$")]
    private static partial Regex TypeLine();

    [GeneratedRegex(
        "^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(?<labels>" + Label + "(?:," + Label + @")*)\})? "
            + "(?<value>[+-]Inf|NaN|[-+0-9.eE]+)$",
        RegexOptions.ECMAScript)]
    private static partial Regex SampleLine();

    [GeneratedRegex(@"([a-zA-Z_]\w*)=""(?:[^""\\]|\\[\\""n])*""", RegexOptions.ECMAScript)]
    private static partial Regex LabelPair();
}
