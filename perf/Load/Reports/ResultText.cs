using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Reports;

/// <summary>One run as a few lines for a terminal.</summary>
internal static class ResultText
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    public static string Of(LoadResult result)
    {
        var text = new StringBuilder();
        text.Append(Invariant, $"{result.Case}: {result.RequestsPerSecond:F0} requests/s, ");
        text.Append(Invariant, $"{result.MebibytesPerSecond:F1} MiB/s in {result.ElapsedSeconds:F2} s\n");
        foreach (var (kind, latency) in result.Latency)
        {
            text.Append(Invariant, $"  {kind,-7} {latency.Count,9} us: mean {latency.MeanMicros:F1}");
            text.Append(Invariant, $"  p50 {latency.P50Micros:F1}  p90 {latency.P90Micros:F1}");
            text.Append(Invariant, $"  p99 {latency.P99Micros:F1}  p99.9 {latency.P999Micros:F1}");
            text.Append(Invariant, $"  max {latency.MaxMicros:F1}\n");
        }

        text.Append(Invariant, $"  CPU us/request: client {result.ClientCpuMicrosPerRequest:F1}");
        if (result.ServerCpuMicrosPerRequest is { } server)
            text.Append(Invariant, $", server {server:F1}");
        text.Append(Invariant, $"; machine busy {result.Cpu.BusyShare:P0}");
        text.Append(Invariant, $", steal {result.Cpu.StealShare:P1}\n");
        if (result.Unsent > 0)
            text.Append(Invariant, $"  overloaded: {result.Unsent} requests were due and never sent\n");
        return text.ToString();
    }
}
