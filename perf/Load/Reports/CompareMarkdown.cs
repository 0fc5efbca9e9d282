using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>A comparison as Markdown: conditions first, then one table for each case.</summary>
internal static class CompareMarkdown
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(CompareReport report, string title)
    {
        var text = new StringBuilder();
        text.Append(Invariant, $"# {title}\n\n");
        AppendConditions(text, report);
        ConditionsText.AppendFloors(text, report.SyncFloors);
        AppendSummary(text, report);
        foreach (var group in report.Lines.GroupBy(line => line.Case)) AppendCase(text, report, group.Key, [.. group]);
        AppendFailures(text, report);
        return text.ToString();
    }

    private static void AppendConditions(StringBuilder text, CompareReport report)
    {
        var (conditions, settings) = (report.Conditions, report.Settings);
        ConditionsText.Append(text, conditions, settings.Peers, settings.Promises, settings.Commands);
        text.Append(Invariant, $"\n{settings.Rounds} rounds of {settings.Seconds} s after ");
        text.Append(Invariant, $"{settings.WarmupSeconds} s of warm-up; every round starts each peer ");
        text.Append(Invariant, $"afresh, peers taking turns. Client and server share the cores, over ");
        text.Append(Invariant, $"loopback TCP. Offsets are random in the first {settings.RegionMib} MiB ");
        text.Append(Invariant, $"of {settings.ExportMib} MiB, filled {settings.SettleSeconds} s before; data ");
        text.Append(Invariant, $"compresses {settings.CompressRatio}:1. Figures are medians over the rounds, ");
        text.Append("ranges in parentheses; latencies are microseconds; CPU is user and system time.\n\n");
    }

    private static void AppendSummary(StringBuilder text, CompareReport report)
    {
        var peers = report.Settings.Peers;
        text.Append(Invariant, $"## Requests a second, and as a multiple of {report.Settings.Base}\n\n");
        text.Append("Multiples are of the medians, with the lowest and the highest of the rounds' own behind them; where 1 lies ");
        text.Append("between those two, the rounds do not agree on which server is the faster one.\n\n");
        text.Append(Invariant, $"| case | {string.Join(" | ", peers)} |\n|---|");
        foreach (var _ in peers) text.Append("---:|");
        text.Append('\n');
        foreach (var group in report.Lines.GroupBy(line => line.Case))
        {
            text.Append(Invariant, $"| {group.Key} |");
            foreach (var peer in peers)
            {
                var line = report.LineOf(group.Key, peer);
                var ratio = report.RequestsRatio(group.Key, peer) is { } known ? $" ({RatioText.Of(known)})" : "";
                text.Append(Invariant, $" {(line is null ? "-" : Number(line.RequestsPerSecond.Median, "F0") + ratio)} |");
            }

            text.Append('\n');
        }

        text.Append('\n');
    }

    private static void AppendCase(
        StringBuilder text, CompareReport report, string name, IReadOnlyList<CompareLine> lines)
    {
        text.Append(Invariant, $"## {name}\n\n");
        text.Append("| peer | requests/s | MiB/s | operation | p50 | p99 | p99.9 | max ");
        text.Append("| server CPU/request | client |\n");
        text.Append("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|\n");
        foreach (var line in lines.OrderBy(line => report.Settings.Peers.ToList().IndexOf(line.Peer)))
        {
            var first = true;
            foreach (var (kind, latency) in line.Latency)
            {
                var rate = first ? Show(line.RequestsPerSecond, "F0") : "";
                var bytes = first ? Number(line.MebibytesPerSecond.Median, "F1") : "";
                var server = first && line.ServerCpuMicrosPerRequest is { } cpu ? Show(cpu, "F1") : "";
                var client = first ? Number(line.ClientCpuMicrosPerRequest.Median, "F1") : "";
                text.Append(Invariant, $"| {(first ? line.Peer : "")} | {rate} | {bytes} | {OperationWords.Of(kind)} ");
                text.Append(Invariant, $"| {Show(latency.P50Micros, "F0")} | {Show(latency.P99Micros, "F0")} ");
                text.Append(Invariant, $"| {Number(latency.P999Micros.Median, "F0")} ");
                text.Append(Invariant, $"| {Number(latency.MaxMicros.Max, "F0")} | {server} | {client} |\n");
                first = false;
            }
        }

        text.Append('\n');
    }

    private static void AppendFailures(StringBuilder text, CompareReport report)
    {
        if (report.Failures.Count == 0) return;

        text.Append("## Not measured\n\n");
        foreach (var failure in report.Failures)
            text.Append(Invariant, $"- {failure.Replace("\n", " ", StringComparison.Ordinal)}\n");
    }

    private static string Show(Spread spread, string format) =>
        $"{Number(spread.Median, format)} ({Number(spread.Min, format)}..{Number(spread.Max, format)})";

    private static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
