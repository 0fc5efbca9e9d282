using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Peers;

namespace ZeroFlow.Perf.Pgbench;

/// <summary>Which servers carry a database, at which latencies of the object store, and what is asked of it.</summary>
internal sealed record PgbenchPlan
{
    public required S3Place Place { get; init; }

    public required IReadOnlyList<PgbenchBackend> Backends { get; init; }

    /// <summary>Of pgbench: about 16 MB each.</summary>
    public required IReadOnlyList<int> Scales { get; init; }

    public required int Rounds { get; init; }

    /// <summary>Length of each measurement.</summary>
    public required int Seconds { get; init; }

    public required int Clients { get; init; }

    public required double Sigma { get; init; }

    /// <summary>Size of the device.</summary>
    public required long DeviceBytes { get; init; }

    /// <summary>The longest that one step of one backend may take; then it counts as not measured.</summary>
    public required TimeSpan Patience { get; init; }

    /// <summary>No backend begins later than this after the start; those that are left out count as not measured.</summary>
    public required TimeSpan TimeMax { get; init; }

    /// <summary>What a reader of the figures must know besides; null for nothing.</summary>
    public required string? Note { get; init; }

    public required string ZeroFlowPath { get; init; }

    /// <summary>Where servers keep their files.</summary>
    public required string Directory { get; init; }

    /// <summary>The repository, for its scripts.</summary>
    public required string Root { get; init; }
}

/// <summary>A server, and the median of the latency that is added on its way to the object store.</summary>
/// <param name="Peer">The server.</param>
/// <param name="MedianMs">Null where there is no object store, nor an emulated one.</param>
internal sealed record PgbenchBackend(Peer Peer, double? MedianMs)
{
    /// <summary>Each peer at each latency that means something to it.</summary>
    public static IReadOnlyList<PgbenchBackend> Of(IEnumerable<Peer> peers, IReadOnlyList<double> mediansMs) =>
    [
        .. peers.SelectMany(peer => peer.IsOverStore || peer.IsEmulation
            ? mediansMs.Select(median => new PgbenchBackend(peer, median))
            : [new PgbenchBackend(peer, null)]),
    ];
}
