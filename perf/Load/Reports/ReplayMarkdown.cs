using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>
/// Replays as Markdown: conditions, then a table for each kind of loop, then the cost at the object store.
/// </summary>
internal static class ReplayMarkdown
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(ReplayReport report, string title)
    {
        var text = new StringBuilder();
        text.Append(Invariant, $"# {title}\n\n");
        ConditionsText.Append(text, report.Conditions, report.Settings.Peers, report.Settings.Promises);
        AppendSettings(text, report.Settings);
        ConditionsText.AppendFloors(text, report.SyncFloors);
        if (report.Settings.Depth is { } depth)
            AppendLoop(text, report, closed: true, string.Create(Invariant, $"Closed loop, depth {depth}"));
        if (report.Settings.Speed is { } speed)
            AppendLoop(text, report, closed: false, string.Create(Invariant, $"Open loop, {speed} times the speed"));
        AppendStore(text, report);
        if (report.Failures.Count > 0) text.Append("## Not measured\n\n");
        foreach (var failure in report.Failures)
            text.Append(Invariant, $"- {failure.Replace("\n", " ", StringComparison.Ordinal)}\n");
        return text.ToString();
    }

    private static void AppendSettings(StringBuilder text, ReplaySettings settings)
    {
        text.Append(Invariant, $"\n{settings.Rounds} rounds; every replay starts its server afresh, with ");
        text.Append(Invariant, $"{settings.WarmupSeconds} s of commits before, servers taking turns. Client and ");
        text.Append(Invariant, $"server share the cores, over loopback TCP. Data compresses ");
        text.Append(Invariant, $"{settings.CompressRatio}:1; ZeroFlow's object store is {settings.ZeroFlowStore}. ");
        text.Append("Figures are medians over the rounds, ranges in parentheses; latencies are microseconds, in the ");
        text.Append("open loop from when a request was due.\n\n");
    }

    private static void AppendLoop(StringBuilder text, ReplayReport report, bool closed, string heading)
    {
        text.Append(Invariant, $"## {heading}\n\n");
        if (closed)
        {
            text.Append(Invariant, $"The multiple is of {report.Base}'s requests a second: of the medians, with the lowest and ");
            text.Append("the highest of the rounds' own behind it.\n\n");
        }

        text.Append(Invariant, $"| trace | peer | seconds | requests/s |{(closed ? " multiple |" : "")} write p50 | p99 ");
        text.Append(Invariant, $"| FLUSH p50 | p99 |\n|---|---|---:|---:|{(closed ? "---:|" : "")}---:|---:|---:|---:|\n");
        foreach (var line in Ordered(report).Where(line => line.Closed == closed))
        {
            text.Append(Invariant, $"| {line.Trace} | {line.Peer} | {Show(line.ElapsedSeconds, "F2")} ");
            text.Append(Invariant, $"| {Show(line.RequestsPerSecond, "F0")} ");
            if (closed)
            {
                var ratio = report.RequestsRatio(line.Trace, closed, line.Peer);
                text.Append(Invariant, $"| {(ratio is null ? "" : RatioText.Of(ratio))} ");
            }

            text.Append(Invariant, $"| {Show(line.Write?.P50Micros, "F0")} | {Show(line.Write?.P99Micros, "F0")} ");
            text.Append(Invariant, $"| {Show(line.Flush?.P50Micros, "F0")} | {Show(line.Flush?.P99Micros, "F0")} |\n");
        }

        text.Append('\n');
    }

    private static void AppendStore(StringBuilder text, ReplayReport report)
    {
        var lines = Ordered(report).Where(line => line.StoreRequests is not null).ToArray();
        if (lines.Length == 0) return;

        text.Append("## At the object store, until it had everything\n\n");
        text.Append("| trace | loop | peer | requests | requests/s | bytes sent per byte written |\n");
        text.Append("|---|---|---|---:|---:|---:|\n");
        foreach (var line in lines)
        {
            text.Append(Invariant, $"| {line.Trace} | {(line.Closed ? "closed" : "open")} | {line.Peer} ");
            text.Append(Invariant, $"| {Show(line.StoreRequests, "F0")} | {Show(line.StoreRequestsPerSecond, "F1")} ");
            text.Append(Invariant, $"| {Show(line.SentPerWrittenByte, "F2")} |\n");
        }

        text.Append('\n');
    }

    private static IEnumerable<ReplayLine> Ordered(ReplayReport report)
    {
        var peers = report.Settings.Peers.ToList();
        return report.Lines.GroupBy(line => line.Trace)
            .SelectMany(trace => trace.OrderBy(line => peers.IndexOf(line.Peer)));
    }

    private static string Show(Spread? spread, string format) => spread is null
        ? "-"
        : $"{Number(spread.Median, format)} ({Number(spread.Min, format)}..{Number(spread.Max, format)})";

    private static string Number(double value, string format) => value.ToString(format, Invariant);
}
