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

    /// <summary>Brings together what the loops of one run measured from <paramref name="measureFrom"/> on.</summary>
    public static LoadResult Of(string name, IReadOnlyList<LoopRecord> records, long measureFrom, CpuUse cpu)
    {
        var latency = new Dictionary<OperationKind, LatencySummary>();
        foreach (var kind in Enum.GetValues<OperationKind>())
        {
            var merged = LoopRecord.Merge(records, kind);
            if (merged.Count > 0) latency[kind] = LatencySummary.Of(merged);
        }

        return new LoadResult
        {
            Case = name,
            ElapsedSeconds = Math.Max(1, records.Max(record => record.LastCompletion) - measureFrom) / 1e9,
            Requests = records.Sum(record => record.Requests),
            Bytes = records.Sum(record => record.Bytes),
            Unsent = records.Sum(record => record.Unsent),
            Cpu = cpu,
            Latency = latency,
        };
    }

    public double RequestsPerSecond => Requests / ElapsedSeconds;

    public double MebibytesPerSecond => Bytes / ElapsedSeconds / (1024 * 1024);

    public double? ServerCpuMicrosPerRequest => Cpu.ServerSeconds * 1e6 / Requests;

    public double ClientCpuMicrosPerRequest => Cpu.ClientSeconds * 1e6 / Requests;
}
