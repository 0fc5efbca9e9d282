using System.Globalization;
using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Plots;

/// <summary>
/// Replays as pictures. In the closed loop a server shows how fast it is; in the open loop all of them get the same requests,
/// and differ in how long each takes.
/// </summary>
internal static class ReplayPlots
{
    private const int Columns = 2;

    public static IReadOnlyList<PlotFile> Of(ReplayReport report, string title)
    {
        var settings = report.Settings;
        var head = new PlotHead(
            title,
            [
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{PlotFile.RoundsOf(settings.Rounds)}, servers started afresh in turns; client and server share the " +
                    $"cores, over loopback TCP."),
                PlotFile.PlaceOf(report.Conditions),
            ],
            PlotFile.KeyOf(settings.Peers, settings.Promises, settings.Rounds));
        string[] traces = [.. report.Lines.Where(line => line.Closed).Select(line => line.Trace).Distinct()];
        var closed = string.Create(CultureInfo.InvariantCulture, $"{settings.Depth} requests under way");
        var open = string.Create(CultureInfo.InvariantCulture, $"at {settings.Speed} times their speed");
        return
        [
            .. PlotFile.Bars(
                "requests", $"requests a second, {closed}",
                head.With($"More is better; in parentheses: as a multiple of {report.Base}."),
                [.. traces.Select(trace => new BarPanel(new PanelHeading(trace), "requests/s", Requests(report, trace)))], Columns),
            .. PlotFile.Bars(
                "cpu", $"server CPU a request, {closed}", head.With("Less is better; user and system time of the server alone."),
                [.. traces.Select(trace => new BarPanel(new PanelHeading(trace), "\u00b5s/request", Cpu(report, trace)))], Columns),
            .. PlotFile.Latencies(
                "latency-closed", $"latency, {closed}", head.With("Less is better."), Latencies(report, isClosed: true), Columns),
            .. PlotFile.Latencies(
                "latency-open", $"latency, {open}", head.With("Less is better; from when each request was due."),
                Latencies(report, isClosed: false), Columns),
        ];
    }

    private static PlotBar[] Requests(ReplayReport report, string trace) =>
    [
        .. report.Settings.Peers.Select(peer => new PlotBar(
            peer, report.LineOf(trace, isClosed: true, peer)?.RequestsPerSecond,
            PlotFile.Times(report.RequestsRatio(trace, isClosed: true, peer)))),
    ];

    private static PlotBar[] Cpu(ReplayReport report, string trace) =>
    [
        .. report.Settings.Peers.Select(peer => new PlotBar(peer, SpreadOf(report.RunsOf(trace, isClosed: true, peer)
            .Select(run => run.Result.Load.ServerCpuMicrosPerRequest).OfType<double>()))),
    ];

    private static IReadOnlyList<(PanelHeading Heading, IReadOnlyList<PlotLatency> Rows)> Latencies(ReplayReport report, bool isClosed) =>
    [
        .. report.Lines.Where(line => line.Closed == isClosed).Select(line => line.Trace).Distinct()
            .SelectMany(trace => new[] { OperationKind.Write, OperationKind.Flush }.Select(kind => (
                new PanelHeading($"{trace}: {OperationWords.Of(kind)}"),
                (IReadOnlyList<PlotLatency>)[.. report.Settings.Peers.Select(peer => RowOf(report, trace, isClosed, peer, kind))]))),
    ];

    private static PlotLatency RowOf(ReplayReport report, string trace, bool isClosed, string peer, OperationKind kind)
    {
        var line = report.LineOf(trace, isClosed, peer);
        var latency = kind == OperationKind.Write ? line?.Write : line?.Flush;
        return new PlotLatency(peer, latency?.P50Micros, latency?.P99Micros, latency?.P999Micros);
    }

    private static Spread? SpreadOf(IEnumerable<double> values)
    {
        double[] all = [.. values];
        return all.Length == 0 ? null : Spread.Of(all);
    }
}
