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
        int first = 0;
        long end = 0;
        for (int i = 0; i < frames.Length; i++)
        {
            ref readonly FrameRef frame = ref frames[i];
            long frameEnd = frame.ObjectOffset + frame.SealedBytes;
            bool continues = i > first
                && frame.Key.Table == frames[first].Key.Table
                && frame.ObjectOffset - end <= gapBytesMax
                && frameEnd - frames[first].ObjectOffset <= runBytesMax;
            if (i > first && !continues)
            {
                runs.Add(first..i);
                first = i;
            }

            end = i == first ? frameEnd : Math.Max(end, frameEnd);
        }

        if (frames.Length > 0) runs.Add(first..frames.Length);
        return runs;
    }

    /// <summary>The bytes of the object that a run spans.</summary>
    public static (long Offset, int Bytes) SpanOf(ReadOnlySpan<FrameRef> run)
    {
        long end = 0;
        foreach (ref readonly FrameRef frame in run) end = Math.Max(end, frame.ObjectOffset + frame.SealedBytes);
        return (run[0].ObjectOffset, checked((int)(end - run[0].ObjectOffset)));
    }
}
