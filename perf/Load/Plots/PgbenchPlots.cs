using System.Globalization;
using ZeroFlow.Perf.Pgbench;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Plots;

/// <summary>A database on several servers as pictures: transactions a second and their latencies, by mode and scale.</summary>
internal static class PgbenchPlots
{
    private const int Columns = 2;

    public static IReadOnlyList<PlotFile> Of(PgbenchReport report, string title)
    {
        var settings = report.Settings;
        var head = new PlotHead(
            title,
            [
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{PlotFile.RoundsOf(settings.Rounds)} of {settings.Seconds} s, {settings.Clients} clients; ms: median added to each S3 request. " +
                    $"A guest without KVM: only ratios within this run count."),
                PlotFile.PlaceOf(report.Conditions),
                .. settings.Note is { } note ? [note] : Array.Empty<string>(),
            ],
            PlotFile.KeyOf(settings.Promises.Keys, settings.Promises, settings.Rounds));
        var groups = report.Lines.GroupBy(line => (line.Scale, line.Mode)).ToArray();
        return
        [
            .. PlotFile.Bars(
                "tps", "transactions a second", head.With($"More is better; in parentheses: as a multiple of {report.Base}."),
                [
                    .. groups.Select(group => new BarPanel(
                        HeadingOf(group.Key.Mode, group.Key.Scale), "TPS",
                        Ordered(report, group).Select(line => new PlotBar(line.Peer, line.Tps, PlotFile.Times(report.RatioOf(line)))
                        {
                            Label = LabelOf(line),
                        }))),
                ],
                Columns),
            .. PlotFile.Latencies(
                "latency", "latency of a transaction", head.With("Less is better."),
                [
                    .. groups.Select(group => (
                        HeadingOf(group.Key.Mode, group.Key.Scale),
                        (IReadOnlyList<PlotLatency>)[.. Ordered(report, group).Select(RowOf)])),
                ],
                Columns),
        ];
    }

    private static IEnumerable<PgbenchLine> Ordered(PgbenchReport report, IEnumerable<PgbenchLine> lines)
    {
        var peers = report.Settings.Promises.Keys.ToList();
        return lines.OrderBy(line => peers.IndexOf(line.Peer)).ThenBy(line => line.MedianMs);
    }

    private static PlotLatency RowOf(PgbenchLine line) =>
        new(line.Peer, line.P50Micros, line.P99Micros, null) { Label = LabelOf(line) };

    private static PanelHeading HeadingOf(string mode, int scale) =>
        new(PgbenchMarkdown.WordsOf(mode), string.Create(CultureInfo.InvariantCulture, $"scale {scale}"));

    private static string LabelOf(PgbenchLine line) => line.MedianMs is { } median
        ? string.Create(CultureInfo.InvariantCulture, $"{line.Peer}, {median} ms")
        : line.Peer;
}
