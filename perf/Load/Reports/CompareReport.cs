using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Reports;

/// <summary>A comparison: every run of every round, and what they come to.</summary>
internal sealed record CompareReport : IReport
{
    public required Conditions Conditions { get; init; }

    public required CompareSettings Settings { get; init; }

    /// <summary>The directory's bare fdatasync, once before each round: what no durable FLUSH can beat.</summary>
    public required IReadOnlyList<FloorResult> SyncFloors { get; init; }

    public required IReadOnlyList<CompareRun> Runs { get; init; }

    /// <summary>What could not be measured, and why.</summary>
    public required IReadOnlyList<string> Failures { get; init; }

    public required IReadOnlyList<CompareLine> Lines { get; init; }

    public static IReadOnlyList<CompareLine> LinesOf(IEnumerable<CompareRun> runs) =>
        [.. runs.GroupBy(run => (run.Result.Case, run.Peer)).Select(group => CompareLine.Of(group.Key, [.. group]))];

    public string Markdown(string title) => CompareMarkdown.Of(this, title);

    public IReadOnlyList<PlotFile> Plots(string title) => ComparePlots.Of(this, title);

    /// <summary>Null when it was not measured.</summary>
    public CompareLine? LineOf(string name, string peer) =>
        Lines.FirstOrDefault(line => line.Case == name && line.Peer == peer);

    /// <summary>A peer's requests a second as a multiple of the base's; null for the base itself.</summary>
    public Ratio? RequestsRatio(string name, string peer) =>
        peer == Settings.Base ? null : Ratio.Of(RequestsOf(name, peer), RequestsOf(name, Settings.Base));

    private IEnumerable<(int Round, double Value)> RequestsOf(string name, string peer) =>
        Runs.Where(run => run.Result.Case == name && run.Peer == peer).Select(run => (run.Round, run.Result.RequestsPerSecond));
}

internal sealed record CompareSettings(
    IReadOnlyList<string> Peers, string Base, int Rounds, double Seconds, double WarmupSeconds, long ExportMib,
    long RegionMib, double SettleSeconds, double CompressRatio, IReadOnlyDictionary<string, string> Promises,
    IReadOnlyDictionary<string, string> Commands);

/// <summary>One run of one case against one peer.</summary>
internal sealed record CompareRun(string Peer, int Round, string LoadAverage, LoadResult Result);

/// <summary>All rounds of one case against one peer.</summary>
internal sealed record CompareLine
{
    public required string Case { get; init; }

    public required string Peer { get; init; }

    public required Spread RequestsPerSecond { get; init; }

    public required Spread MebibytesPerSecond { get; init; }

    public required Spread? ServerCpuMicrosPerRequest { get; init; }

    public required Spread ClientCpuMicrosPerRequest { get; init; }

    public required Spread BusyShare { get; init; }

    public required IReadOnlyDictionary<OperationKind, LatencyLine> Latency { get; init; }

    public static CompareLine Of((string Case, string Peer) key, IReadOnlyList<CompareRun> runs)
    {
        var results = runs.Select(run => run.Result).ToArray();
        return new CompareLine
        {
            Case = key.Case,
            Peer = key.Peer,
            RequestsPerSecond = Spread.Of(results.Select(result => result.RequestsPerSecond)),
            MebibytesPerSecond = Spread.Of(results.Select(result => result.MebibytesPerSecond)),
            ServerCpuMicrosPerRequest = results.All(result => result.ServerCpuMicrosPerRequest.HasValue)
                ? Spread.Of(results.Select(result => result.ServerCpuMicrosPerRequest!.Value))
                : null,
            ClientCpuMicrosPerRequest = Spread.Of(results.Select(result => result.ClientCpuMicrosPerRequest)),
            BusyShare = Spread.Of(results.Select(result => result.Cpu.BusyShare)),
            Latency = results.SelectMany(result => result.Latency.Keys).Distinct().ToDictionary(
                kind => kind,
                kind => LatencyLine.Of(
                    [.. results.Where(it => it.Latency.ContainsKey(kind)).Select(it => it.Latency[kind])])),
        };
    }
}

/// <summary>Percentiles of each round, as spreads over the rounds.</summary>
internal sealed record LatencyLine(Spread P50Micros, Spread P99Micros, Spread P999Micros, Spread MaxMicros)
{
    public static LatencyLine Of(IReadOnlyList<LatencySummary> rounds) => new(
        Spread.Of(rounds.Select(round => round.P50Micros)),
        Spread.Of(rounds.Select(round => round.P99Micros)),
        Spread.Of(rounds.Select(round => round.P999Micros)),
        Spread.Of(rounds.Select(round => round.MaxMicros)));
}
