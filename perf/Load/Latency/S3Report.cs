using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Latency;

/// <summary>Servers over an S3 server at several latencies, beside plain requests through the same proxy.</summary>
internal sealed record S3Report : IReport
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

    public string Markdown(string title) => S3Markdown.Of(this, title);

    public IReadOnlyList<PlotFile> Plots(string title) => S3Plots.Of(this, title);

    public IEnumerable<S3Run> RunsOf(string name, double medianMs, string who) =>
        Runs.Where(run => run.Case == name && run.MedianMs.Equals(medianMs) && run.Who == who);

    /// <summary>
    /// A line's rate as a multiple of ZeroFlow's in the same case at the same latency (its first, where two of its levels take
    /// part); null for that one itself, and where there is none.
    /// </summary>
    public Ratio? RatioOf(S3Line line)
    {
        var ours = Lines.FirstOrDefault(other =>
            other.Case == line.Case && other.MedianMs.Equals(line.MedianMs) && IsOurs(other.Who));
        return ours is null || ours.Who == line.Who ? null : Ratio.Of(RatesOf(line), RatesOf(ours));
    }

    private static bool IsOurs(string who) => who.StartsWith("zeroflow", StringComparison.Ordinal);

    private IEnumerable<(int Round, double Value)> RatesOf(S3Line line) =>
        RunsOf(line.Case, line.MedianMs, line.Who).Select(run =>
            (run.Round, S3Comparison.IsByBytes(line.Case) ? run.MebibytesPerSecond : run.PerSecond));
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
