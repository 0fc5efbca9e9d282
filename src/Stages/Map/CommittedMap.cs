using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Map;

/// <summary>A found piece of the committed map: a part of a frame, or a hole when <see cref="Frame"/> is null.</summary>
internal readonly record struct CommittedHit(BlockRange Range, FrameRef? Frame);

/// <summary>
/// What the chain says about one export: pages of whole chunks, and above them the fragments that no whole chunk has
/// replaced yet. A pure function of the committed tables. Thread-safe: many readers, one writer (the commit stage, or
/// recovery); the lock is never held across I/O.
/// </summary>
internal sealed class CommittedMap
{
    /// <summary>Chunks in one page: 16 KiB of entries, 128 MiB of a device with 128 KiB chunks.</summary>
    public const int PageChunks = 1024;

    private readonly Lock _lock = new();
    private readonly TableRegistry _tables;
    private readonly ExportId _export;
    private readonly long _size;
    private readonly int _chunkBytes;
    private readonly ChunkEntry[]?[] _pages;
    private readonly ExtentMap<Fragment> _overlay = new();
    private readonly List<Extent<Fragment>> _scratch = [];

    public CommittedMap(TableRegistry tables, ExportId export, long sizeBytes, int chunkBytes)
    {
        _tables = tables;
        _export = export;
        _size = sizeBytes;
        _chunkBytes = chunkBytes;
        long chunks = (sizeBytes + chunkBytes - 1) / chunkBytes;
        _pages = new ChunkEntry[]?[(chunks + PageChunks - 1) / PageChunks];
    }

    /// <summary>Fragments above the chunks.</summary>
    public int OverlayCount
    {
        get
        {
            lock (_lock) return _overlay.Count;
        }
    }

    /// <summary>Finds what covers <paramref name="range"/>, in order and without gaps.</summary>
    public void Collect(BlockRange range, List<CommittedHit> hits)
    {
        lock (_lock)
        {
            _scratch.Clear();
            _overlay.Collect(range, _scratch);
            long at = range.Offset;
            foreach (Extent<Fragment> extent in _scratch)
            {
                CollectChunks(BlockRange.Between(at, extent.Range.Offset), hits);
                hits.Add(new CommittedHit(
                    extent.Range, extent.Value.IsZero ? null : extent.Value.ToFrame(_export, extent.Range.Offset)));
                at = extent.Range.End;
            }

            CollectChunks(BlockRange.Between(at, range.End), hits);
            _scratch.Clear();
        }
    }

    /// <summary>Applies one line of a committed table's index.</summary>
    /// <param name="entry">The line.</param>
    /// <param name="table">Ordinal of the table.</param>
    /// <param name="frame">Number of the frame, for a line that has one.</param>
    /// <param name="objectOffset">Where that frame lies in the table object.</param>
    public void Apply(in TableEntry entry, int table, int frame, long objectOffset)
    {
        lock (_lock)
        {
            if (entry.Kind == TableEntryKind.Zero) ApplyZero(entry.Range);
            else if (IsWholeChunk(entry.Range)) ApplyChunk(entry, table, frame, objectOffset);
            else ApplyFragment(entry, table, frame, objectOffset);
        }
    }

    /// <summary>The pages that hold anything, for a checkpoint. Only the single writer may call this.</summary>
    public IEnumerable<(int Page, ChunkEntry[] Entries)> Pages()
    {
        for (int i = 0; i < _pages.Length; i++)
        {
            if (_pages[i] is { } page) yield return (i, page);
        }
    }

    /// <summary>The fragments in order, for a checkpoint. Only the single writer may call this.</summary>
    public IEnumerable<Extent<Fragment>> Fragments() => _overlay.All();

    /// <summary>Fragments above the chunks, for the single writer.</summary>
    public int FragmentCount => _overlay.Count;

    /// <summary>Restores a page of a checkpoint.</summary>
    public bool TryRestorePage(int page, ChunkEntry[] entries)
    {
        if ((uint)page >= (uint)_pages.Length || entries.Length != PageChunks) return false;
        _pages[page] = entries;
        for (int i = 0; i < entries.Length; i++)
        {
            if (!entries[i].IsHole) _tables[entries[i].Table]?.AddLive(ChunkRange((long)page * PageChunks + i).Length);
        }

        return true;
    }

    /// <summary>Restores a fragment of a checkpoint.</summary>
    public void RestoreFragment(BlockRange range, in Fragment fragment)
    {
        _overlay.Set(range, fragment);
        if (!fragment.IsZero) _tables[fragment.Table]?.AddLive(range.Length);
    }

    private BlockRange ChunkRange(long chunk)
    {
        long start = chunk * _chunkBytes;
        return new BlockRange(start, Math.Min(_chunkBytes, _size - start));
    }

    private bool IsWholeChunk(BlockRange range) =>
        range.Offset % _chunkBytes == 0 && range == ChunkRange(range.Offset / _chunkBytes);

    private void CollectChunks(BlockRange range, List<CommittedHit> hits)
    {
        long at = range.Offset;
        while (at < range.End)
        {
            long chunk = at / _chunkBytes;
            ChunkEntry[]? page = _pages[chunk / PageChunks];
            long end;
            FrameRef? frame = null;
            if (page is null)
            {
                end = Math.Min((chunk / PageChunks + 1) * PageChunks * _chunkBytes, range.End);
            }
            else
            {
                BlockRange whole = ChunkRange(chunk);
                end = Math.Min(whole.End, range.End);
                ChunkEntry entry = page[chunk % PageChunks];
                if (!entry.IsHole) frame = entry.ToFrame(_export, whole);
            }

            hits.Add(new CommittedHit(BlockRange.Between(at, end), frame));
            at = end;
        }
    }

    private void ApplyChunk(in TableEntry entry, int table, int frame, long objectOffset)
    {
        ClearOverlay(entry.Range);
        long chunk = entry.Offset / _chunkBytes;
        ChunkEntry[] page = _pages[chunk / PageChunks] ??= new ChunkEntry[PageChunks];
        ref ChunkEntry slot = ref page[chunk % PageChunks];
        Drop(slot, entry.Length);
        slot = new ChunkEntry(table, frame, objectOffset, entry.SealedBytes, entry.Encoding);
        _tables[table]?.AddLive(entry.Length);
    }

    private void ApplyFragment(in TableEntry entry, int table, int frame, long objectOffset)
    {
        ClearOverlay(entry.Range);
        var fragment = new Fragment(table, frame, objectOffset, entry.SealedBytes, entry.Encoding, (int)entry.Length, 0);
        _overlay.Set(entry.Range, fragment);
        _tables[table]?.AddLive(entry.Length);
    }

    private void ApplyZero(BlockRange range)
    {
        ClearOverlay(range);
        long at = range.Offset;
        while (at < range.End)
        {
            long chunk = at / _chunkBytes;
            long pageIndex = chunk / PageChunks;
            BlockRange pageRange = new(pageIndex * PageChunks * _chunkBytes, (long)PageChunks * _chunkBytes);
            if (_pages[pageIndex] is not { } page)
            {
                at = pageRange.End;
                continue;
            }

            if (range.Contains(pageRange))
            {
                for (int i = 0; i < PageChunks; i++) Drop(page[i], ChunkRange(pageIndex * PageChunks + i).Length);
                _pages[pageIndex] = null;
                at = pageRange.End;
                continue;
            }

            BlockRange whole = ChunkRange(chunk);
            ZeroChunk(ref page[chunk % PageChunks], whole, range.Intersect(whole));
            at = whole.End;
        }
    }

    // A chunk that is zeroed in part keeps its frame, under a fragment of zeros.
    private void ZeroChunk(ref ChunkEntry entry, BlockRange whole, BlockRange zeroed)
    {
        if (entry.IsHole) return;
        if (zeroed == whole)
        {
            Drop(entry, whole.Length);
            entry = default;
            return;
        }

        _overlay.Set(zeroed, Fragment.Zero);
    }

    private void ClearOverlay(BlockRange range)
    {
        _scratch.Clear();
        _overlay.Clear(range, _scratch);
        foreach (Extent<Fragment> extent in _scratch)
        {
            if (!extent.Value.IsZero) _tables[extent.Value.Table]?.AddLive(-extent.Range.Length);
        }

        _scratch.Clear();
    }

    private void Drop(in ChunkEntry entry, long bytes)
    {
        if (!entry.IsHole) _tables[entry.Table]?.AddLive(-bytes);
    }
}
