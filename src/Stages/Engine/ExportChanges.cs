using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>Where an export differs from a snapshot: what its memtable has, and where the committed maps differ.</summary>
internal sealed class ExportChanges : IChangedRanges
{
    private readonly ExportDevice _export;
    private readonly ExportDevice _since;
    private readonly IDisposable _attachment;

    public ExportChanges(ExportDevice export, ExportDevice since)
    {
        _export = export;
        _since = since;
        _attachment = since.Attach();
    }

    /// <inheritdoc/>
    public async ValueTask<int> GetAsync(BlockRange range, Memory<ChangedRun> runs, CancellationToken cancellation)
    {
        if (runs.IsEmpty) return 0;
        int count = 0;
        var cursors = (new MapCursor(), new MapCursor());
        var recent = new List<MemtableHit>();
        var changed = new List<BlockRange>();

        // Page by page: the runs may be full long before the end of a long range.
        for (long at = range.Offset; at < range.End;)
        {
            var part = BlockRange.Between(at, Math.Min(range.End, (at / MapPage.Span + 1) * MapPage.Span));
            changed.Clear();
            BlockRange known = part.Intersect(new BlockRange(0, _since.Info.SizeBytes));

            // In the order of a read, for the same reason: what a commit moves meanwhile is found in one of the two.
            AddRecent(part, recent, changed);
            if (!known.IsEmpty)
                await _export.Committed.CompareAsync(_since.Committed, known, cursors, changed, cancellation);
            long end = known.IsEmpty ? part.Offset : known.End;
            if (end < part.End) changed.Add(BlockRange.Between(end, part.End));
            if (!AddRuns(part, changed, runs.Span, ref count)) return count;
            at = part.End;
        }

        return count;
    }

    public void Dispose() => _attachment.Dispose();

    private void AddRecent(BlockRange part, List<MemtableHit> recent, List<BlockRange> changed)
    {
        recent.Clear();
        _export.Memtable.Collect(part, recent);
        foreach (MemtableHit hit in recent)
        {
            hit.Payload?.Release();
            changed.Add(hit.Range);
        }
    }

    // The ranges may overlap. False when the next run has no room.
    private static bool AddRuns(BlockRange part, List<BlockRange> changed, Span<ChangedRun> runs, ref int count)
    {
        changed.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
        long at = part.Offset;
        foreach (BlockRange range in changed)
        {
            if (range.End <= at) continue;
            long start = Math.Max(at, range.Offset);
            if (!AddRun(new ChangedRun(start - at, IsChanged: false), runs, ref count)) return false;
            if (!AddRun(new ChangedRun(range.End - start, IsChanged: true), runs, ref count)) return false;
            at = range.End;
        }

        return AddRun(new ChangedRun(part.End - at, IsChanged: false), runs, ref count);
    }

    private static bool AddRun(ChangedRun run, Span<ChangedRun> runs, ref int count)
    {
        if (run.Length == 0) return true;
        if (count > 0 && runs[count - 1].IsChanged == run.IsChanged)
            runs[count - 1] = run with { Length = runs[count - 1].Length + run.Length };
        else if (count < runs.Length) runs[count++] = run;
        else return false;
        return true;
    }
}
