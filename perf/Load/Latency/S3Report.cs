using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Latency;

/// <summary>Servers over an S3 server at several latencies, beside plain requests through the same proxy.</summary>
internal sealed record S3Report
{
    public required Conditions Conditions { get; init; }

    public required IReadOnlyDictionary<string, string> Promises { get; init; }

    public required int Rounds { get; init; }

    public required double Seconds { get; init; }

    public required long RegionMib { get; init; }

    public required double Sigma { get; init; }

    public required IReadOnlyList<S3Run> Runs { get; init; }

    public required IReadOnlyList<S3Line> Lines { get; init; }

    public required IReadOnlyList<string> Failures { get; init; }

    public static IReadOnlyList<S3Line> LinesOf(IEnumerable<S3Run> runs) =>
    [
        .. runs.GroupBy(run => (run.Case, run.MedianMs, run.Who))
            .OrderBy(group => group.Key.Case).ThenBy(group => group.Key.MedianMs)
            .Select(group => S3Line.Of([.. group])),
    ];
}

/// <summary>One measurement.</summary>
/// <param name="Round">From 1.</param>
/// <param name="MedianMs">Median of the latency that the proxy adds.</param>
/// <param name="Case">What was measured.</param>
/// <param name="Who">The server, or the plain requests.</param>
/// <param name="PerSecond">Operations a second.</param>
/// <param name="MebibytesPerSecond">Payload of the client.</param>
/// <param name="Latency">Of the operation that the case is about.</param>
/// <param name="Use">What the proxy counted meanwhile.</param>
internal sealed record S3Run(
    int Round, double MedianMs, string Case, string Who, double PerSecond, double MebibytesPerSecond,
    LatencySummary Latency, ProxyUse Use);

/// <summary>All rounds of one measurement.</summary>
internal sealed record S3Line(
    string Case, double MedianMs, string Who, Spread PerSecond, Spread MebibytesPerSecond, Spread P50Micros,
    Spread P99Micros, Spread StoreRequests, Spread SentBytes, Spread ReceivedBytes)
{
    public static S3Line Of(IReadOnlyList<S3Run> runs) => new(
        runs[0].Case,
        runs[0].MedianMs,
        runs[0].Who,
        Spread.Of(runs.Select(run => run.PerSecond)),
        Spread.Of(runs.Select(run => run.MebibytesPerSecond)),
        Spread.Of(runs.Select(run => run.Latency.P50Micros)),
        Spread.Of(runs.Select(run => run.Latency.P99Micros)),
        Spread.Of(runs.Select(run => (double)run.Use.Total)),
        Spread.Of(runs.Select(run => (double)run.Use.SentBytes)),
        Spread.Of(runs.Select(run => (double)run.Use.ReceivedBytes)));
}
