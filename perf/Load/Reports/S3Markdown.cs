using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>Measurements over S3 as Markdown: conditions, then a table for each case.</summary>
internal static class S3Markdown
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(S3Report report, string title)
    {
        var text = new StringBuilder();
        text.Append(Invariant, $"# {title}\n\n");
        ConditionsText.Append(text, report.Conditions, report.Promises.Keys, report.Promises);
        text.Append(Invariant, $"\n{report.Rounds} {(report.Rounds == 1 ? "round" : "rounds")} of {report.Seconds} s. Everything goes through one proxy ");
        text.Append(Invariant, $"that adds a log-normal latency (sigma {report.Sigma}) to each response; its median ");
        text.Append(Invariant, $"is the first column. Reads are of {report.RegionMib} MiB that a server wrote ");
        text.Append("before; nothing compresses; each case starts its server afresh, with empty caches. Client, ");
        text.Append("proxy, servers and the S3 server share the cores. Figures are medians over the rounds, ranges ");
        text.Append("in parentheses; S3 requests and bytes are what the proxy counted while it was measured. ");
        text.Append("Multiples are of ZeroFlow's rate in the same case (in the sequential read, of its MiB/s): of the medians, with ");
        text.Append("the lowest and the highest of the rounds' own behind them.\n\n");
        foreach (var group in report.Lines.GroupBy(line => line.Case)) AppendCase(text, report, group.Key, group);
        if (report.Failures.Count > 0) text.Append("## Not measured\n\n");
        foreach (var failure in report.Failures)
            text.Append(Invariant, $"- {failure.Replace("\n", " ", StringComparison.Ordinal)}\n");
        return text.ToString();
    }

    private static void AppendCase(StringBuilder text, S3Report report, string name, IEnumerable<S3Line> lines)
    {
        text.Append(Invariant, $"## {name}\n\n");
        text.Append("| added ms | who | per second | MiB/s | multiple | p50 ms | p99 ms | S3 requests | MiB sent | MiB received ");
        text.Append("|\n");
        text.Append("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        foreach (var line in lines)
        {
            text.Append(Invariant, $"| {line.MedianMs} | {line.Who} | {Show(line.PerSecond, 1, "F1")} ");
            text.Append(Invariant, $"| {Show(line.MebibytesPerSecond, 1, "F1")} ");
            text.Append(Invariant, $"| {(report.RatioOf(line) is { } ratio ? RatioText.Of(ratio) : "")} ");
            text.Append(Invariant, $"| {Show(line.P50Micros, 1e3, "F1")} | {Show(line.P99Micros, 1e3, "F1")} ");
            text.Append(Invariant, $"| {Number(line.StoreRequests.Median, "F0")} ");
            text.Append(Invariant, $"| {Number(line.SentBytes.Median / (1024 * 1024), "F1")} ");
            text.Append(Invariant, $"| {Number(line.ReceivedBytes.Median / (1024 * 1024), "F1")} |\n");
        }

        text.Append('\n');
    }

    private static string Show(Spread spread, double unit, string format) =>
        $"{Number(spread.Median / unit, format)} " +
        $"({Number(spread.Min / unit, format)}..{Number(spread.Max / unit, format)})";

    private static string Number(double value, string format) => value.ToString(format, Invariant);
}
