using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Pgbench;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>A database on several servers as Markdown: conditions, then a table for each mode at each scale.</summary>
internal static class PgbenchMarkdown
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(PgbenchReport report, string title)
    {
        var text = new StringBuilder();
        text.Append(Invariant, $"# {title}\n\n");
        ConditionsText.Append(text, report.Conditions, report.Settings.Promises.Keys, report.Settings.Promises);
        AppendSettings(text, report);
        foreach (var group in report.Lines.GroupBy(line => (line.Scale, line.Mode)))
            AppendTable(text, report, string.Create(Invariant, $"{WordsOf(group.Key.Mode)}, scale {group.Key.Scale}"), group);
        if (report.Failures.Count > 0) text.Append("## Not measured\n\n");
        foreach (var failure in report.Failures)
            text.Append(Invariant, $"- {failure.Replace("\n", " ", StringComparison.Ordinal)}\n");
        return text.ToString();
    }

    /// <summary>What pgbench did, for people.</summary>
    public static string WordsOf(string mode) => mode switch
    {
        "tpcb-commit" => "TPC-B, synchronous_commit on",
        "tpcb-async" => "TPC-B, synchronous_commit off",
        "select" => "select only",
        _ => mode,
    };

    private static void AppendSettings(StringBuilder text, PgbenchReport report)
    {
        var settings = report.Settings;
        if (settings.Note is { } note) text.Append(Invariant, $"\n**{note}**\n");
        text.Append(Invariant, $"\nPostgreSQL 15 on OpenZFS (recordsize 8k, full_page_writes off), on the kernel's NBD client in a guest that ");
        text.Append("is a Linux kernel as a process; its network and its system calls are slow, so that only ratios within this run mean ");
        text.Append("something. shared_buffers 32 MiB, ARC 64 MiB: scale 2 (about 30 MB) fits into them, 10 and above does not; what ");
        text.Append(Invariant, $"they miss is in the caches of the servers. {settings.Rounds} {(settings.Rounds == 1 ? "round" : "rounds")} of ");
        text.Append(Invariant, $"{settings.Seconds} s for each mode, {settings.Clients} clients, backends in turns, each started afresh on a copy ");
        text.Append("of the same disk. All S3 requests go through one proxy that adds a log-normal latency ");
        text.Append(Invariant, $"(sigma {settings.Sigma}), whose median is the second column, to the S3 server's own time. Everything shares ");
        text.Append("the cores.\n\n");
        text.Append("Requests are those that the proxy counted from the first transaction until the bucket had all that was written (PostgreSQL and ZFS write out what they hold at the end), cost ");
        text.Append("is that of the requests at the list price of S3 Standard in us-east-1. Lag is the age of the oldest write that the ");
        text.Append(Invariant, $"bucket lacked, at most. Multiples are of {report.Base}'s transactions: of the medians, with the lowest and the ");
        text.Append("highest of the rounds' own behind them. Figures are medians over the rounds, ranges in parentheses.\n\n");
    }

    private static void AppendTable(StringBuilder text, PgbenchReport report, string name, IEnumerable<PgbenchLine> lines)
    {
        text.Append(Invariant, $"## {name}\n\n");
        text.Append("| backend | added ms | TPS | multiple | p50 ms | p99 ms | S3 requests per 1000 transactions ");
        text.Append("| KiB sent per transaction | $ per million | lag s | drained after s |\n");
        text.Append("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        foreach (var line in lines.OrderBy(line => OrderOf(report, line.Peer)).ThenBy(line => line.MedianMs))
        {
            text.Append(Invariant, $"| {line.Peer} | {line.MedianMs} | {Show(line.Tps, 1, "F1")} ");
            text.Append(Invariant, $"| {(report.RatioOf(line) is { } ratio ? RatioText.Of(ratio) : "")} ");
            text.Append(Invariant, $"| {Show(line.P50Micros, 1e3, "F1")} | {Show(line.P99Micros, 1e3, "F1")} ");
            text.Append(Invariant, $"| {Show(line.RequestsPerThousand, 1, "F1")} ");
            text.Append(Invariant, $"| {Show(line.SentBytesPerTransaction, 1024, "F1")} | {Show(line.DollarsPerMillion, 1, "F2")} ");
            text.Append(Invariant, $"| {Show(line.LagSeconds, 1, "F1")} | {Show(line.DrainSeconds, 1, "F1")} |\n");
        }

        text.Append('\n');
    }

    private static int OrderOf(PgbenchReport report, string peer) => report.Settings.Promises.Keys.ToList().IndexOf(peer);

    private static string Show(Spread? spread, double unit, string format)
    {
        if (spread is null) return "";
        var median = Number(spread.Median / unit, format);
        return spread.Max > spread.Min
            ? $"{median} ({Number(spread.Min / unit, format)}..{Number(spread.Max / unit, format)})"
            : median;
    }

    private static string Number(double value, string format) => value.ToString(format, Invariant);
}
