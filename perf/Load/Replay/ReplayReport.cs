using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>Traces against servers: every run of every round, and what they come to.</summary>
internal sealed record ReplayReport : IReport
{
    public required Conditions Conditions { get; init; }

    public required ReplaySettings Settings { get; init; }

    /// <summary>The directory's bare fdatasync, once before each round: what no durable FLUSH can beat.</summary>
    public required IReadOnlyList<FloorResult> SyncFloors { get; init; }

    public required IReadOnlyList<ReplayRun> Runs { get; init; }

    public required IReadOnlyList<ReplayLine> Lines { get; init; }

    /// <summary>What could not be measured, and why.</summary>
    public required IReadOnlyList<string> Failures { get; init; }

    public static IReadOnlyList<ReplayLine> LinesOf(IEnumerable<ReplayRun> runs) =>
        [.. runs.GroupBy(run => (run.Result.Trace, run.Closed, run.Peer)).Select(group => ReplayLine.Of([.. group]))];

    /// <summary>The peer that ratios refer to.</summary>
    internal string Base => Settings.Peers[0];

    public string Markdown(string title) => ReplayMarkdown.Of(this, title);

    public IReadOnlyList<PlotFile> Plots(string title) => ReplayPlots.Of(this, title);

    /// <summary>Null when it was not measured.</summary>
    public ReplayLine? LineOf(string trace, bool isClosed, string peer) =>
        Lines.FirstOrDefault(line => line.Trace == trace && line.Closed == isClosed && line.Peer == peer);

    public IEnumerable<ReplayRun> RunsOf(string trace, bool isClosed, string peer) =>
        Runs.Where(run => run.Result.Trace == trace && run.Closed == isClosed && run.Peer == peer);

    /// <summary>A peer's requests a second as a multiple of the base's; null for the base itself.</summary>
    public Ratio? RequestsRatio(string trace, bool isClosed, string peer)
    {
        return peer == Base ? null : Ratio.Of(Requests(peer), Requests(Base));

        IEnumerable<(int Round, double Value)> Requests(string of) =>
            RunsOf(trace, isClosed, of).Select(run => (run.Round, run.Result.Load.RequestsPerSecond));
    }
}

internal sealed record ReplaySettings(
    IReadOnlyList<string> Peers, int Rounds, int? Depth, double? Speed, double CompressRatio, double WarmupSeconds,
    string ZeroFlowStore, IReadOnlyDictionary<string, string> Promises);

/// <summary>One replay of one trace against one peer.</summary>
internal sealed record ReplayRun(
    string Peer, int Round, bool Closed, string LoadAverage, ReplayResult Result, ReplayStoreUse? Store);

/// <summary>What a replay cost in requests to the object store, until it had everything.</summary>
/// <param name="Use">Counts.</param>
/// <param name="Seconds">From the begin of the replay until the object store had everything.</param>
/// <param name="RequestsPerSecond">Requests of all kinds over that time.</param>
/// <param name="SentPerWrittenByte">Bytes sent to the object store for each byte that the client wrote.</param>
internal sealed record ReplayStoreUse(StoreUse Use, double Seconds, double RequestsPerSecond, double SentPerWrittenByte)
{
    public static ReplayStoreUse Of(StoreUse use, ReplayResult result, double seconds) => new(
        use, seconds, use.Requests / seconds, use.SentBytes / (double)Math.Max(1, result.WrittenBytes));
}

/// <summary>All rounds of one trace in one kind of loop against one peer.</summary>
internal sealed record ReplayLine(
    string Trace, bool Closed, string Peer, Spread ElapsedSeconds, Spread RequestsPerSecond, LatencyLine? Write,
    LatencyLine? Flush, Spread? StoreRequests, Spread? StoreRequestsPerSecond, Spread? SentPerWrittenByte)
{
    public static ReplayLine Of(IReadOnlyList<ReplayRun> runs)
    {
        var stores = runs.Select(run => run.Store).OfType<ReplayStoreUse>().ToArray();
        return new ReplayLine(
            runs[0].Result.Trace,
            runs[0].Closed,
            runs[0].Peer,
            Spread.Of(runs.Select(run => run.Result.Load.ElapsedSeconds)),
            Spread.Of(runs.Select(run => run.Result.Load.RequestsPerSecond)),
            LatencyOf(OperationKind.Write),
            LatencyOf(OperationKind.Flush),
            StoreSpread(store => store.Use.Requests),
            StoreSpread(store => store.RequestsPerSecond),
            StoreSpread(store => store.SentPerWrittenByte));

        LatencyLine? LatencyOf(OperationKind kind)
        {
            var rounds = runs.Where(run => run.Result.Load.Latency.ContainsKey(kind))
                .Select(run => run.Result.Load.Latency[kind]).ToArray();
            return rounds.Length == 0 ? null : LatencyLine.Of(rounds);
        }

        Spread? StoreSpread(Func<ReplayStoreUse, double> value) =>
            stores.Length == 0 ? null : Spread.Of(stores.Select(value));
    }
}
