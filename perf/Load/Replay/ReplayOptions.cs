using System.Globalization;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Replay;

/// <summary>How a trace is replayed against one export.</summary>
internal sealed record ReplayOptions
{
    public required NbdUri Uri { get; init; }

    /// <summary>Open loop: how many times faster than it was recorded. Ignored with <see cref="Depth"/>.</summary>
    public double Speed { get; init; } = 1;

    /// <summary>
    /// Closed loop: so many requests of each connection under way, as fast as they are answered; null for open loop.
    /// </summary>
    public int? Depth { get; init; }

    /// <summary>Connections; null for as many as the trace has.</summary>
    public int? Connections { get; init; }

    public BeyondEnd Beyond { get; init; } = BeyondEnd.Refuse;

    /// <summary>Stamp what is written and check what is read.</summary>
    /// <remarks>It costs time: figures with it are of the tool as well.</remarks>
    public bool Verify { get; init; }

    public double CompressRatio { get; init; } = 2;

    public int Seed { get; init; } = 1;

    /// <summary>Reads of 4 KiB on each connection before the trace begins: they pay for the tool's own JIT.</summary>
    public int WarmupReads { get; init; } = 400;

    /// <summary>The server's process, whose CPU time is measured; null when it is unknown or elsewhere.</summary>
    public int? ServerPid { get; init; }

    /// <summary>The loop in words.</summary>
    public string Loop => Depth is { } depth
        ? string.Create(CultureInfo.InvariantCulture, $"closed, depth {depth}")
        : string.Create(CultureInfo.InvariantCulture, $"open, {Speed}x");
}

/// <summary>What a replay measured.</summary>
/// <param name="Trace">Name of the trace.</param>
/// <param name="Loop">How it was replayed, in words.</param>
/// <param name="Connections">Connections it was spread over.</param>
/// <param name="LeftOut">Requests that the export does not offer, or that move nothing.</param>
/// <param name="Wrapped">Requests that were moved into the device.</param>
/// <param name="SectorsVerified">Sectors that were read and right; 0 without verification.</param>
/// <param name="WrittenBytes">Payload of the writes.</param>
/// <param name="Load">Rates and latencies.</param>
internal sealed record ReplayResult(
    string Trace, string Loop, int Connections, long LeftOut, long Wrapped, long SectorsVerified, long WrittenBytes,
    Workloads.LoadResult Load);
