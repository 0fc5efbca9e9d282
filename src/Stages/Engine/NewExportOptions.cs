namespace ZeroFlow.Stages.Engine;

/// <summary>What may be chosen for an export when it is made, besides its size and level; null is the store's own.</summary>
/// <param name="ChunkBytes">Unit of settled storage, for good: a power of two from 16 KiB to 1 MiB.</param>
/// <param name="CompressionLevel">zstd level, 0 (none) to 19; may be changed later.</param>
public sealed record NewExportOptions(int? ChunkBytes = null, int? CompressionLevel = null);
