using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Pgbench;

/// <summary>A database on several servers: every run of every round, and what they come to.</summary>
internal sealed record PgbenchReport : IReport
{
    public required Conditions Conditions { get; init; }

    public required PgbenchSettings Settings { get; init; }

    public required IReadOnlyList<PgbenchRun> Runs { get; init; }

    public required IReadOnlyList<PgbenchLine> Lines { get; init; }

    /// <summary>What could not be measured, and why.</summary>
    public required IReadOnlyList<string> Failures { get; init; }

    /// <summary>The peer that ratios refer to: the local disk, if it took part.</summary>
    internal string Base => Settings.Promises.ContainsKey("nbdkit-file") ? "nbdkit-file" : Settings.Promises.Keys.First();

    public static IReadOnlyList<PgbenchLine> LinesOf(IEnumerable<PgbenchRun> runs) =>
        [.. runs.GroupBy(run => (run.Mode, run.Scale, run.Peer, run.MedianMs)).Select(group => PgbenchLine.Of([.. group]))];

    public string Markdown(string title) => PgbenchMarkdown.Of(this, title);

    public IReadOnlyList<PlotFile> Plots(string title) => PgbenchPlots.Of(this, title);

    /// <summary>Transactions a second as a multiple of the base's; null for the base itself.</summary>
    public Ratio? RatioOf(PgbenchLine line) => line.Peer == Base
        ? null
        : Ratio.Of(RatesOf(line, run => run.Peer == line.Peer && run.MedianMs.Equals(line.MedianMs)), RatesOf(line, run => run.Peer == Base));

    private IEnumerable<(int Round, double Value)> RatesOf(PgbenchLine line, Func<PgbenchRun, bool> isOne) =>
        Runs.Where(run => run.Mode == line.Mode && run.Scale == line.Scale && isOne(run)).Select(run => (run.Round, run.Tps));
}

internal sealed record PgbenchSettings(
    IReadOnlyList<int> Scales, int Rounds, int Seconds, int Clients, double Sigma, long DeviceMib, string? Note,
    IReadOnlyDictionary<string, string> Promises);

/// <summary>One measurement.</summary>
/// <param name="Peer">The server.</param>
/// <param name="MedianMs">Median of the added latency of the object store; null where there is none.</param>
/// <param name="Round">From 1.</param>
/// <param name="Scale">Of pgbench.</param>
/// <param name="Mode">What pgbench did.</param>
/// <param name="LoadAverage">Of the machine, when it began.</param>
/// <param name="Tps">Transactions a second.</param>
/// <param name="P50Micros">Of a transaction.</param>
/// <param name="P99Micros">Of a transaction.</param>
/// <param name="Transactions">How many there were.</param>
/// <param name="Store">What the object store was asked for on their behalf; null where there is none.</param>
internal sealed record PgbenchRun(
    string Peer, double? MedianMs, int Round, int Scale, string Mode, string LoadAverage, double Tps, double P50Micros,
    double P99Micros, long Transactions, PgbenchStoreUse? Store);

/// <summary>
/// What went to the object store until it had everything that the transactions wrote, a checkpoint of PostgreSQL behind them and
/// one of ZFS included.
/// </summary>
/// <param name="Use">Counted by the proxy in front of it.</param>
/// <param name="LagSeconds">Age of the oldest write that the object store lacked while transactions ran, at most; null where nobody says.</param>
/// <param name="DrainSeconds">From that checkpoint until it had everything.</param>
internal sealed record PgbenchStoreUse(ProxyUse Use, double? LagSeconds, double DrainSeconds)
{
    /// <summary>
    /// US dollars for requests, at the list price of S3 Standard in us-east-1: what creates costs 0.005 for a thousand, a GET
    /// 0.0004, a DELETE nothing. Space is not in it.
    /// </summary>
    public double Dollars => ((Use.Of("PUT") + Use.Of("POST")) * 0.005 / 1000) + (Use.Of("GET") * 0.0004 / 1000);
}

/// <summary>All rounds of one measurement.</summary>
internal sealed record PgbenchLine(
    string Mode, int Scale, string Peer, double? MedianMs, Spread Tps, Spread P50Micros, Spread P99Micros,
    Spread? RequestsPerThousand, Spread? SentBytesPerTransaction, Spread? DollarsPerMillion, Spread? LagSeconds,
    Spread? DrainSeconds)
{
    public static PgbenchLine Of(IReadOnlyList<PgbenchRun> runs)
    {
        var first = runs[0];
        return new PgbenchLine(
            first.Mode, first.Scale, first.Peer, first.MedianMs,
            Spread.Of(runs.Select(run => run.Tps)),
            Spread.Of(runs.Select(run => run.P50Micros)),
            Spread.Of(runs.Select(run => run.P99Micros)),
            StoreSpread((store, count) => store.Use.Total * 1e3 / count),
            StoreSpread((store, count) => store.Use.SentBytes / count),
            StoreSpread((store, count) => store.Dollars * 1e6 / count),
            StoreSpread((store, _) => store.LagSeconds),
            StoreSpread((store, _) => store.DrainSeconds));

        Spread? StoreSpread(Func<PgbenchStoreUse, double, double?> value)
        {
            double[] values =
            [
                .. runs.Where(run => run.Store is not null && run.Transactions > 0)
                    .Select(run => value(run.Store!, run.Transactions)).OfType<double>(),
            ];
            return values.Length == 0 ? null : Spread.Of(values);
        }
    }
}
