using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Micro;

/// <summary>What a bare loop reached.</summary>
/// <param name="Name">Which loop.</param>
/// <param name="PerSecond">Durable 4 KiB records a second.</param>
/// <param name="SyncsPerSecond">fdatasync calls a second.</param>
/// <param name="Latency">Of one record, from its submission until it is durable.</param>
internal sealed record FloorResult(string Name, double PerSecond, double SyncsPerSecond, LatencySummary Latency);
