using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Pipeline.Device;

/// <summary>What a client may know of an export before it attaches. Immutable.</summary>
/// <param name="Id">Identity within the store.</param>
/// <param name="Name">Name that clients attach by; UTF-8, at most 255 bytes, no NUL.</param>
/// <param name="SizeBytes">Size of the device in bytes.</param>
/// <param name="ChunkBytes">Unit of settled storage in bytes: a power of two from 16 KiB to 1 MiB. A preferred I/O size.</param>
/// <param name="Level">What FLUSH waits for.</param>
/// <param name="IsReadOnly">Writes, trims and zeroing are refused.</param>
/// <param name="Description">Free text for people, possibly empty.</param>
/// <param name="Snapshot">What it is a snapshot of; null for an export.</param>
/// <param name="WriteThrough">
/// Every write, trim and zeroing is answered only when it is as durable as a FLUSH would make it, and clients are told that
/// there is no write cache to flush.
/// </param>
/// <param name="CompressionLevel">zstd level of what is written from now on, 0 for none; null for the store's own.</param>
/// <param name="FormerNames">Names that it was renamed from; null for none.</param>
/// <param name="CloneOf">The snapshot that it was cloned from, which may be gone; null when it began empty.</param>
public sealed record ExportInfo(
    ExportId Id,
    string Name,
    long SizeBytes,
    int ChunkBytes,
    DurabilityLevel Level,
    bool IsReadOnly = false,
    string Description = "",
    SnapshotInfo? Snapshot = null,
    bool WriteThrough = false,
    int? CompressionLevel = null,
    FormerNames? FormerNames = null,
    ExportId? CloneOf = null);

/// <summary>Where a snapshot comes from.</summary>
/// <param name="Of">The export that it was taken of.</param>
/// <param name="Name">Its own name, the part behind the '@'.</param>
/// <param name="CreatedAt">When it was asked for.</param>
public sealed record SnapshotInfo(ExportId Of, string Name, DateTimeOffset CreatedAt)
{
    /// <summary>The name that a snapshot is served under: <c>export@snapshot</c>.</summary>
    public static string NameOf(string export, string snapshot) => $"{export}@{snapshot}";
}
