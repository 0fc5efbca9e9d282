namespace ZeroFlow.Perf.Workloads;

/// <summary>Aligned offsets within a region. Used by one connection's loop only.</summary>
internal abstract class OffsetCursor
{
    public abstract bool TryNext(out long offset);
}

/// <summary>Every block equally likely, for ever.</summary>
internal sealed class RandomCursor(long regionBytes, int blockBytes, Random random) : OffsetCursor
{
    private readonly long _blocks = regionBytes / blockBytes;

    public override bool TryNext(out long offset)
    {
        offset = random.NextInt64(_blocks) * blockBytes;
        return true;
    }
}

/// <summary>One block after the other from a start, wrapping at the region's end, for ever.</summary>
internal sealed class SequentialCursor(long regionBytes, int blockBytes, long startBytes) : OffsetCursor
{
    private readonly long _blocks = regionBytes / blockBytes;
    private long _next = startBytes / blockBytes;

    public override bool TryNext(out long offset)
    {
        offset = _next % _blocks * blockBytes;
        _next++;
        return true;
    }
}

/// <summary>Every block of the region once.</summary>
internal sealed class OnceCursor(long regionBytes, int blockBytes) : OffsetCursor
{
    private long _next;

    public override bool TryNext(out long offset)
    {
        offset = _next;
        _next += blockBytes;
        return offset + blockBytes <= regionBytes;
    }
}
