using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>One run against one export.</summary>
internal sealed record LoadOptions
{
    public required NbdUri Uri { get; init; }

    public required WorkloadCase Case { get; init; }

    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Load before the window: connections, caches and the JIT of either side settle.</summary>
    public TimeSpan Warmup { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Offsets lie in the first so many bytes of the export, or in all of it when it is smaller.</summary>
    public long RegionBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>Open loop at so many transactions a second over all connections; null for closed loop.</summary>
    public double? RatePerSecond { get; init; }

    /// <summary>Stamp what is written and check what is read; needs a region filled with stamps.</summary>
    public bool Verify { get; init; }

    /// <summary>Uncompressed to compressed size of what is written.</summary>
    public double CompressRatio { get; init; } = 2;

    public int Seed { get; init; } = 1;

    /// <summary>The server's process, whose CPU time is measured; null when it is unknown or elsewhere.</summary>
    public int? ServerPid { get; init; }
}
