using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Reports;

/// <summary>One run as a few lines for a terminal.</summary>
internal static class ResultText
{
    public static string Of(LoadResult result)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{result.Case}: {result.RequestsPerSecond:F0} requests/s, ");
        text.Append(CultureInfo.InvariantCulture, $"{result.MebibytesPerSecond:F1} MiB/s in {result.ElapsedSeconds:F2} s\n");
        foreach (var (kind, latency) in result.Latency)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {kind,-7} {latency.Count,9} us: mean {latency.MeanMicros:F1}");
            text.Append(CultureInfo.InvariantCulture, $"  p50 {latency.P50Micros:F1}  p90 {latency.P90Micros:F1}");
            text.Append(CultureInfo.InvariantCulture, $"  p99 {latency.P99Micros:F1}  p99.9 {latency.P999Micros:F1}");
            text.Append(CultureInfo.InvariantCulture, $"  max {latency.MaxMicros:F1}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"  CPU us/request: client {result.ClientCpuMicrosPerRequest:F1}");
        if (result.ServerCpuMicrosPerRequest is { } server)
            text.Append(CultureInfo.InvariantCulture, $", server {server:F1}");
        text.Append(CultureInfo.InvariantCulture, $"; machine busy {result.Cpu.BusyShare:P0}");
        text.Append(CultureInfo.InvariantCulture, $", steal {result.Cpu.StealShare:P1}\n");
        if (result.Unsent > 0)
            text.Append(CultureInfo.InvariantCulture, $"  overloaded: {result.Unsent} requests were due and never sent\n");
        return text.ToString();
    }
}
