using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Workloads;

/// <summary>What one run measured.</summary>
internal sealed record LoadResult
{
    public required string Case { get; init; }

    /// <summary>From the window's begin to the last reply of what began in it.</summary>
    public required double ElapsedSeconds { get; init; }

    public required long Requests { get; init; }

    public required long Bytes { get; init; }

    public required long Unsent { get; init; }

    public required CpuUse Cpu { get; init; }

    /// <summary>By kind; kinds that did not occur are absent.</summary>
    public required IReadOnlyDictionary<OperationKind, LatencySummary> Latency { get; init; }

    public double RequestsPerSecond => Requests / ElapsedSeconds;

    public double MebibytesPerSecond => Bytes / ElapsedSeconds / (1024 * 1024);

    public double? ServerCpuMicrosPerRequest => Cpu.ServerSeconds * 1e6 / Requests;

    public double ClientCpuMicrosPerRequest => Cpu.ClientSeconds * 1e6 / Requests;
}
