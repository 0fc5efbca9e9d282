using System.Globalization;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Plots;

/// <summary>One picture of a report.</summary>
/// <param name="Suffix">What its file's name has behind the report's.</param>
/// <param name="Caption">What it shows, in a few words.</param>
/// <param name="Svg">The picture.</param>
internal sealed record PlotFile(string Suffix, string Caption, string Svg)
{
    private const double BarValueWidth = 104;
    private const double LatencyValueWidth = 112;

    /// <summary>Bars in columns; nothing when there are none.</summary>
    public static IEnumerable<PlotFile> Bars(
        string suffix, string caption, PlotHead head, IReadOnlyList<BarPanel> panels, int columns) =>
        panels.Count == 0
            ? []
            : [new PlotFile(suffix, caption, PlotPage.Render(Entitle(head, caption), panels, columns, BarValueWidth))];

    /// <summary>Percentiles in columns, on one axis; nothing when there are none.</summary>
    public static IEnumerable<PlotFile> Latencies(
        string suffix, string caption, PlotHead head, IReadOnlyList<(PanelHeading Heading, IReadOnlyList<PlotLatency> Rows)> groups,
        int columns)
    {
        double[] axis =
        [
            .. groups.SelectMany(group => group.Rows).SelectMany(row => new[] { row.P50, row.P99, row.P999 })
                .OfType<Spread>().SelectMany(spread => new[] { spread.Min, spread.Max }),
        ];
        if (axis.Length == 0) return [];

        var marked = head with
        {
            Key =
            [
                .. head.Key.Where(entry => entry.Mark != KeyMark.Whisker),
                new KeyEntry(KeyMark.Circle, "", "p50"),
                new KeyEntry(KeyMark.Diamond, "", "p99"),
                new KeyEntry(KeyMark.Stroke, "", "p99.9; logarithmic axis; a pale band is the range over the rounds"),
            ],
        };
        return
        [
            new PlotFile(suffix, caption, PlotPage.Render(
                Entitle(marked, caption), [.. groups.Select(group => new LatencyPanel(group.Heading, group.Rows, axis))],
                columns, LatencyValueWidth)),
        ];
    }

    /// <summary>The key's entries for servers, with what they promise, and for whiskers if there can be any.</summary>
    public static IReadOnlyList<KeyEntry> KeyOf(
        IEnumerable<string> peers, IReadOnlyDictionary<string, string> promises, int rounds)
    {
        var key = peers.Select(peer => new KeyEntry(
            KeyMark.Color, peer, promises.TryGetValue(peer, out var promise) ? $"{peer}: {promise}" : peer));
        return rounds > 1 ? [.. key, new KeyEntry(KeyMark.Whisker, "", "lowest and highest round")] : [.. key];
    }

    /// <summary>The first words of a note: what the figures are of.</summary>
    public static string RoundsOf(int rounds) => rounds == 1
        ? "One round"
        : string.Create(CultureInfo.InvariantCulture, $"Medians of {rounds} rounds");

    /// <summary>Where and when, as the last note.</summary>
    public static string PlaceOf(Conditions conditions) => string.Create(
        CultureInfo.InvariantCulture,
        $"{conditions.Date:yyyy-MM-dd}, commit {conditions.Commit}, {conditions.Cores} cores ({conditions.Processor}), " +
        $"{conditions.Filesystem}; load average before {conditions.LoadAverageBefore}, after {conditions.LoadAverageAfter}.");

    /// <summary>Behind a bar's figure: the ratio of medians.</summary>
    public static string Times(Ratio? ratio) => ratio is null
        ? ""
        : $" ({RatioText.Number(ratio.OfMedians)}\u00d7)";

    private static PlotHead Entitle(PlotHead head, string caption) => head with { Title = $"{head.Title}: {caption}" };
}
