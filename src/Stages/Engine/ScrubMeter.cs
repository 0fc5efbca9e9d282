using System.Diagnostics.Metrics;
using System.Text.Json;

namespace ZeroFlow.Stages.Engine;

/// <summary>What scrubs found, and when the last one ended. Thread-safe.</summary>
internal sealed class ScrubMeter
{
    private readonly TimeProvider _time;
    private readonly long[] _findings = new long[Enum.GetValues<ScrubProblem>().Length];
    private long _runs;
    private long _endedAt;

    public ScrubMeter(Meter meter, TimeProvider time)
    {
        _time = time;
        meter.CreateObservableCounter("zeroflow.scrub.runs", () => Volatile.Read(ref _runs), null, "Scrubs that came to their end.");
        meter.CreateObservableCounter("zeroflow.scrub.findings", Findings, null, "What scrubs found wrong, by problem.");
        meter.CreateObservableGauge(
            "zeroflow.scrub.last_end_time", () => (double)Volatile.Read(ref _endedAt), "s",
            "When the last scrub of this process ended, in seconds since the Unix epoch; 0 before the first.");
    }

    /// <summary>Counts a scrub that ended.</summary>
    public void Count(ScrubReport report)
    {
        foreach (ScrubFinding finding in report.Findings) Interlocked.Increment(ref _findings[(int)finding.Problem]);
        Volatile.Write(ref _endedAt, _time.GetUtcNow().ToUnixTimeSeconds());
        Interlocked.Increment(ref _runs);
    }

    private IEnumerable<Measurement<long>> Findings() => Enum.GetValues<ScrubProblem>().Select(problem => new Measurement<long>(
        Volatile.Read(ref _findings[(int)problem]),
        new KeyValuePair<string, object?>("problem", JsonNamingPolicy.CamelCase.ConvertName(problem.ToString()))));
}
