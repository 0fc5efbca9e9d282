namespace ZeroFlow.Pipeline.Blocks;

/// <summary>A byte range of one export: <see cref="Length"/> bytes from <see cref="Offset"/>.</summary>
/// <param name="Offset">First byte, counted from the start of the export.</param>
/// <param name="Length">Bytes covered; zero makes the range empty.</param>
public readonly record struct BlockRange(long Offset, long Length)
{
    /// <summary>First byte past the range.</summary>
    public long End => Offset + Length;

    /// <summary>True when the range covers no byte.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>The range from <paramref name="start"/> up to, not including, <paramref name="end"/>.</summary>
    public static BlockRange Between(long start, long end) => new(start, end - start);

    /// <summary>True when both ranges have at least one byte in common.</summary>
    public bool Overlaps(BlockRange other) => Offset < other.End && other.Offset < End;

    /// <summary>True when every byte of <paramref name="other"/> lies in this range.</summary>
    public bool Contains(BlockRange other) => other.Offset >= Offset && other.End <= End;

    /// <summary>The bytes that both ranges cover; empty when they do not overlap.</summary>
    public BlockRange Intersect(BlockRange other)
    {
        long start = Math.Max(Offset, other.Offset);
        long end = Math.Min(End, other.End);
        return end <= start ? new BlockRange(start, 0) : Between(start, end);
    }

    /// <summary>
    /// True when the range lies within an export of <paramref name="size"/> bytes. Safe for hostile values: no sum overflows.
    /// </summary>
    public bool FitsIn(long size) => Offset >= 0 && Length >= 0 && Offset <= size && Length <= size - Offset;

    /// <inheritdoc/>
    public override string ToString() => $"[{Offset}, +{Length})";
}
