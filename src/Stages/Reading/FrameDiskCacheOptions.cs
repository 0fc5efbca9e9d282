namespace ZeroFlow.Stages.Reading;

/// <summary>The tuning of one <see cref="FrameDiskCache"/>. Immutable; data only.</summary>
internal sealed record FrameDiskCacheOptions
{
    /// <summary>Where the cache keeps its files: <c>frames.log.*</c>, deleted at every start.</summary>
    public required string Directory { get; init; }

    /// <summary>Most bytes of files.</summary>
    public required long DiskBytes { get; init; }

    /// <summary>Most bytes of the log in memory: what is on its way to the disk. A power of two.</summary>
    public int MemoryBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>
    /// Bytes of a page, the unit of writing; a frame larger than a page is not cached. A power of two.
    /// </summary>
    public int PageBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Most reads of the disk at once; more wait in line.</summary>
    public int ReadsMax { get; init; } = 32;

    /// <summary>Most bytes of frames that wait to be put in; beyond it they are dropped, for this is a cache.</summary>
    public int InsertQueueBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Bytes of one file, the unit in which the oldest frames go: a page to 256 MiB, about a 32nd of the whole.
    /// </summary>
    internal long SegmentBytes =>
        Math.Clamp(PowerOfTwoAtMost(DiskBytes / 32), PageBytes, Math.Max(PageBytes, 256L * 1024 * 1024));

    /// <summary>Most files at once.</summary>
    internal int SegmentsMax => (int)(DiskBytes / SegmentBytes);

    /// <summary>Memory for the log: less than asked for when the disk is small, which must hold far more.</summary>
    internal long LogMemoryBytes => Math.Min(MemoryBytes, PowerOfTwoAtMost(DiskBytes / 4));

    /// <summary>
    /// Bytes of hash index: 64 for each 32 KiB of disk, seven entries in each, so that frames down to about 5 KiB
    /// find a place without overflow; at most 64 MiB.
    /// </summary>
    internal long IndexBytes => PowerOfTwoAtMost(Math.Clamp(DiskBytes / 512, 4096, 64L * 1024 * 1024));

    /// <summary>Most frame bytes that fit a page beside a record's header (8), key (8) and length (4).</summary>
    internal int FrameBytesMax => PageBytes - 64;

    /// <summary>Fewest bytes of disk with which the log works: four times as many as four pages in memory.</summary>
    internal long DiskBytesMin => 16L * PageBytes;

    private static long PowerOfTwoAtMost(long value) =>
        (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)value / 2 + 1);
}
