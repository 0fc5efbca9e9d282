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
public sealed record ExportInfo(
    ExportId Id,
    string Name,
    long SizeBytes,
    int ChunkBytes,
    DurabilityLevel Level,
    bool IsReadOnly = false,
    string Description = "");
