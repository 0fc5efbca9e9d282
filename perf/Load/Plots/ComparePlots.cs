using System.Globalization;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Plots;

/// <summary>A comparison as pictures: requests a second, the server's CPU for each, and latencies, by case.</summary>
internal static class ComparePlots
{
    private const int Columns = 2;

    public static IReadOnlyList<PlotFile> Of(CompareReport report, string title)
    {
        var head = HeadOf(report, title);
        string[] cases = [.. report.Lines.Select(line => line.Case).Distinct()];
        return
        [
            .. PlotFile.Bars(
                "requests", "requests a second", head.With($"More is better; in parentheses: as a multiple of {report.Settings.Base}."),
                [.. cases.Select(name => new BarPanel(HeadingOf(name), "requests/s", Requests(report, name)))], Columns),
            .. PlotFile.Bars(
                "cpu", "server CPU a request", head.With("Less is better; user and system time of the server alone."),
                [.. cases.Select(name => new BarPanel(HeadingOf(name), "\u00b5s/request", Cpu(report, name)))], Columns),
            .. PlotFile.Latencies(
                "latency", "latency", head.With("Less is better."), [.. cases.SelectMany(name => Latencies(report, name))], Columns),
        ];
    }

    private static PlotHead HeadOf(CompareReport report, string title)
    {
        var settings = report.Settings;
        return new PlotHead(
            title,
            [
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{PlotFile.RoundsOf(settings.Rounds)} of {settings.Seconds} s, servers started afresh in turns; client " +
                    $"and server share the cores, over loopback TCP."),
                PlotFile.PlaceOf(report.Conditions),
            ],
            PlotFile.KeyOf(settings.Peers, settings.Promises, settings.Rounds));
    }

    private static PanelHeading HeadingOf(string name) =>
        new(name, WorkloadCase.TryParse(name, out var item) ? item.Words : "");

    private static PlotBar[] Requests(CompareReport report, string name) =>
    [
        .. report.Settings.Peers.Select(peer => new PlotBar(
            peer, report.LineOf(name, peer)?.RequestsPerSecond, PlotFile.Times(report.RequestsRatio(name, peer)))),
    ];

    private static PlotBar[] Cpu(CompareReport report, string name) =>
        [.. report.Settings.Peers.Select(peer => new PlotBar(peer, report.LineOf(name, peer)?.ServerCpuMicrosPerRequest))];

    private static IEnumerable<(PanelHeading Heading, IReadOnlyList<PlotLatency> Rows)> Latencies(CompareReport report, string name)
    {
        var kinds = report.Lines.Where(line => line.Case == name).SelectMany(line => line.Latency.Keys).Distinct().ToArray();
        return kinds.Select(kind => (
            kinds.Length == 1 ? HeadingOf(name) : new PanelHeading($"{name}: {OperationWords.Of(kind)}"),
            (IReadOnlyList<PlotLatency>)[.. report.Settings.Peers.Select(peer => RowOf(report, name, peer, kind))]));
    }

    private static PlotLatency RowOf(CompareReport report, string name, string peer, OperationKind kind)
    {
        var latency = report.LineOf(name, peer)?.Latency.GetValueOrDefault(kind);
        return new PlotLatency(peer, latency?.P50Micros, latency?.P99Micros, latency?.P999Micros);
    }
}
