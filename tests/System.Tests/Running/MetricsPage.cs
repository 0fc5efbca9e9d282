using System.Globalization;
using System.Text.RegularExpressions;

namespace ZeroFlow.SystemTests.Running;

/// <summary>One reading of /metrics.</summary>
internal sealed partial class MetricsPage(string text)
{
    private readonly (string Name, string Labels, double Value)[] _samples =
    [
        .. Sample().Matches(text).Select(m => (
            m.Groups["name"].Value,
            m.Groups["labels"].Value,
            double.Parse(m.Groups["value"].ValueSpan, CultureInfo.InvariantCulture))),
    ];

    public IEnumerable<string> Names => _samples.Select(s => s.Name).Distinct();

    /// <summary>
    /// The sum of a metric over all its label sets that contain <paramref name="label"/>; no such metric fails the
    /// test.
    /// </summary>
    public double Sum(string name, string label = "")
    {
        var found = _samples.Where(s => s.Name == name).ToArray();
        if (found.Length == 0) Assert.Fail($"There is no metric {name}, only {string.Join(", ", Names)}");
        return found.Where(s => s.Labels.Contains(label, StringComparison.Ordinal)).Sum(s => s.Value);
    }

    [GeneratedRegex(@"^(?<name>[a-zA-Z_:][\w:]*)(?<labels>\{.*\})?\s+(?<value>[-+\d.eE]+)\s*$", RegexOptions.Multiline)]
    private static partial Regex Sample();
}
