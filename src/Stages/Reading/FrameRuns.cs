namespace ZeroFlow.Stages.Reading;

/// <summary>Groups frames into ranges that one GET can fetch. Pure.</summary>
internal static class FrameRuns
{
    /// <summary>The order in which runs are formed: by table, then by place in the object.</summary>
    public static int Compare(in FrameRef a, in FrameRef b) =>
        a.Key.Table != b.Key.Table ? a.Key.Table.CompareTo(b.Key.Table) : a.ObjectOffset.CompareTo(b.ObjectOffset);

    /// <summary>
    /// Cuts <paramref name="frames"/>, sorted by <see cref="Compare"/>, into runs: frames of one table with at most
    /// <paramref name="gapBytesMax"/> between neighbours, spanning at most <paramref name="runBytesMax"/> in all
    /// unless a single frame is longer.
    /// </summary>
    public static List<Range> Split(ReadOnlySpan<FrameRef> frames, int gapBytesMax, int runBytesMax)
    {
        var runs = new List<Range>();
        for (int first = 0, end; first < frames.Length; first = end)
        {
            end = EndOfRun(frames, first, gapBytesMax, runBytesMax);
            runs.Add(first..end);
        }

        return runs;
    }

    /// <summary>How many runs <see cref="Split"/> would make; allocates nothing.</summary>
    public static int Count(ReadOnlySpan<FrameRef> frames, int gapBytesMax, int runBytesMax)
    {
        int runs = 0;
        for (int first = 0; first < frames.Length; first = EndOfRun(frames, first, gapBytesMax, runBytesMax)) runs++;
        return runs;
    }

    // One behind the last frame of the run that begins at `first`.
    private static int EndOfRun(ReadOnlySpan<FrameRef> frames, int first, int gapBytesMax, int runBytesMax)
    {
        ref readonly FrameRef head = ref frames[first];
        long end = head.ObjectOffset + head.SealedBytes;
        int next = first + 1;
        for (; next < frames.Length; next++)
        {
            ref readonly FrameRef frame = ref frames[next];
            long frameEnd = frame.ObjectOffset + frame.SealedBytes;
            bool continues = frame.Key.Table == head.Key.Table
                && frame.ObjectOffset - end <= gapBytesMax
                && frameEnd - head.ObjectOffset <= runBytesMax;
            if (!continues) break;
            end = Math.Max(end, frameEnd);
        }

        return next;
    }

    /// <summary>The bytes of the object that a run spans.</summary>
    public static (long Offset, int Bytes) SpanOf(ReadOnlySpan<FrameRef> run)
    {
        long end = 0;
        foreach (ref readonly FrameRef frame in run) end = Math.Max(end, frame.ObjectOffset + frame.SealedBytes);
        return (run[0].ObjectOffset, checked((int)(end - run[0].ObjectOffset)));
    }
}
