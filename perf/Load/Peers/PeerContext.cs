namespace ZeroFlow.Perf.Peers;

/// <summary>What a peer needs to start: where its files go, and how large its export is.</summary>
internal sealed record PeerContext
{
    /// <summary>Empty directory of this one start, on the filesystem under test; deleted afterwards.</summary>
    public required string Directory { get; init; }

    public required long ExportBytes { get; init; }

    /// <summary>Object store of a ZeroFlow peer, as for <c>zeroflow serve</c>; null for a directory.</summary>
    public string? StoreUrl { get; init; }

    /// <summary>Median of the way to the object store, for peers that only emulate one.</summary>
    public TimeSpan StoreLatency { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Published host, as a program or as a .dll; null when no ZeroFlow peer takes part.</summary>
    public string? ZeroFlowPath { get; init; }
}
