namespace ZeroFlow.Stages;

/// <summary>The tuning of one store: every bound of the engine. Immutable; data only.</summary>
/// <remarks>The derivation of each default stands in the limits table of docs/architecture.md.</remarks>
public sealed record StoreOptions
{
    /// <summary>Plain bytes that a cut may hold before it is closed and becomes a table.</summary>
    /// <remarks>Larger tables cost fewer PUTs but widen the window that only the WAL protects.</remarks>
    public int TableBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Longest time that an acknowledged write waits before its cut is closed.</summary>
    /// <remarks>Bounds the published lag while the store is reachable; each interval with writes costs one PUT.</remarks>
    public TimeSpan PublishInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Most tables that any writer has on their way at once: so far apart are the first and the last of them.</summary>
    public const int UploadsInFlightMax = 64;

    /// <summary>Tables uploaded at once, up to <see cref="UploadsInFlightMax"/>.</summary>
    public int UploadsInFlight { get; init; } = 6;

    /// <summary>Bytes of WAL that may wait for the bucket before writes are held back.</summary>
    public long WalBytes { get; init; } = 4L * 1024 * 1024 * 1024;

    /// <summary>Bytes of one WAL segment: the unit in which local space comes back.</summary>
    public long WalSegmentBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>How long a write waits for a full local disk before it fails.</summary>
    public TimeSpan FullDiskPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes of unpublished payload kept in memory; beyond it, payload is read back from the WAL.</summary>
    public long DirtyMemoryBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>Bytes of plain frames kept in memory.</summary>
    public long MemoryCacheBytes { get; init; } = 512L * 1024 * 1024;

    /// <summary>
    /// Bytes of the maps in memory: half of it stored pages, half of it changes that no checkpoint holds yet. What has no
    /// room is read from the disk cache or the bucket.
    /// </summary>
    public long MapBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>Bytes of sealed frames kept on the local disk; zero turns the disk cache off.</summary>
    public long DiskCacheBytes { get; init; } = 8L * 1024 * 1024 * 1024;

    /// <summary>Most bytes that read-ahead may have under way.</summary>
    public long ReadAheadBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>zstd level; zero stores frames uncompressed.</summary>
    public int CompressionLevel { get; init; } = 1;

    /// <summary>Chunk size of new exports in bytes: a power of two from 16 KiB to 1 MiB.</summary>
    public int ChunkBytes { get; init; } = 128 * 1024;

    /// <summary>Committed tables after which a checkpoint is written.</summary>
    public int CheckpointTables { get; init; } = 64;

    /// <summary>
    /// Share of live bytes below which tables are rewritten, so that the bucket holds at most about the live bytes
    /// divided by it. Zero turns that off.
    /// </summary>
    public double SettleLiveShare { get; init; } = 0.7;

    /// <summary>
    /// Bytes that may be rewritten to put together what small overwrites have scattered, as a share of the bytes that
    /// clients wrote. Zero turns that off.
    /// </summary>
    /// <remarks>A larger share makes cold scans of overwritten exports need fewer requests, and writes that much more.</remarks>
    public double MergeShare { get; init; } = 0.5;

    /// <summary>
    /// How long after the last write a checkpoint is written even if there is little to it, so that the space of what
    /// was trimmed or overwritten comes back.
    /// </summary>
    public TimeSpan CheckpointIdle { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a table without live data is kept after the checkpoint that makes it unnecessary.</summary>
    public TimeSpan DeleteGrace { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// How far back every moment of the store can be opened (<see cref="Engine.PastStore"/>): for so long at least, nothing
    /// is deleted that a moment within needs. Zero keeps no past.
    /// </summary>
    public TimeSpan Retention { get; init; } = TimeSpan.Zero;

    /// <summary>How long reads wait out a bucket that refuses (403) or is missing before they fail.</summary>
    public TimeSpan RefusalPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// A gap in the process's own heartbeat after which it proves that it still owns the store before it acknowledges
    /// anything more.
    /// </summary>
    public TimeSpan StallThreshold { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stop waits for what is not yet published.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(20);
}
