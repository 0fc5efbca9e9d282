using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Map;

/// <summary>A found piece of the committed map: a part of a frame, or a hole when <see cref="Frame"/> is null.</summary>
internal readonly record struct CommittedHit(BlockRange Range, FrameRef? Frame);

/// <summary>
/// What the chain says about one export, a pure function of the committed tables. In layers, newest first: the changes
/// since the last checkpoint; those that the checkpoint under way is folding; the stored pages, of which only some are
/// in memory. Thread-safe: many readers, one writer (the commit stage, or recovery); the lock is never held across I/O.
/// </summary>
/// <remarks>
/// Changes go on top without looking at what they cover, so a commit never waits for a page to come from the bucket,
/// and neither does opening a store. What a change made dead is known when the checkpoint folds it into its page: that
/// is where the live bytes of tables are counted.
/// </remarks>
internal sealed class CommittedMap
{
    // Slots come in blocks, so that a large export that is hardly written takes hardly any memory.
    private const int BlockSlots = 1024;

    private readonly Lock _lock = new();
    private readonly TableRegistry _tables;
    private readonly MapPages _pages;
    private readonly ExportId _export;
    private readonly List<Extent<Fragment>> _found = [];
    private readonly List<Extent<Fragment>> _foundBelow = [];
    private readonly List<MapSlot> _dirty = [];
    private readonly MapSlot?[]?[] _blocks;

    public CommittedMap(TableRegistry tables, MapPages pages, ExportId export, long sizeBytes)
    {
        _tables = tables;
        _pages = pages;
        _export = export;
        long pageCount = (sizeBytes + MapPage.Span - 1) / MapPage.Span;
        _blocks = new MapSlot?[]?[(pageCount + BlockSlots - 1) / BlockSlots];
    }

    /// <summary>
    /// Finds what covers <paramref name="range"/>, in order and without gaps. False, with nothing added, when a stored
    /// page that matters is not in memory.
    /// </summary>
    public bool TryCollect(BlockRange range, List<CommittedHit> hits)
    {
        int before = hits.Count;
        for (long at = range.Offset; at < range.End;)
        {
            BlockRange part = PartInPage(at, range.End);
            lock (_lock)
            {
                if (!TryCollectPart(part, null, default, hits, out _))
                {
                    hits.RemoveRange(before, hits.Count - before);
                    return false;
                }
            }

            at = part.End;
        }

        return true;
    }

    /// <summary>
    /// Like <see cref="TryCollect"/>, but brings stored pages into memory where need be. Each page is seen as of one
    /// moment after the call began.
    /// </summary>
    public ValueTask CollectAsync(BlockRange range, List<CommittedHit> hits, CancellationToken cancellation) =>
        CollectAsync(range, hits, new MapCursor(), cancellation);

    /// <summary>The same for one of many ranges in ascending order, which share the pages that had to be loaded.</summary>
    public async ValueTask CollectAsync(
        BlockRange range, List<CommittedHit> hits, MapCursor cursor, CancellationToken cancellation)
    {
        for (long at = range.Offset; at < range.End;)
        {
            BlockRange part = PartInPage(at, range.End);
            cursor.MoveTo(part.Offset / MapPage.Span);
            while (true)
            {
                lock (_lock)
                {
                    if (TryCollectPart(part, cursor.Loaded, cursor.Place, hits, out Fragment wanted)) break;
                    cursor.Place = wanted;
                }

                cursor.Loaded = await TryLoadAsync(cursor.Page, cursor.Place, cancellation);
            }

            at = part.End;
        }
    }

    /// <summary>Starts to bring the stored pages of <paramref name="range"/> near; a hint.</summary>
    public void PrefetchPages(BlockRange range)
    {
        for (long at = range.Offset; at < range.End; at = PartInPage(at, range.End).End)
        {
            Fragment place = default;
            lock (_lock)
            {
                if (SlotAt(at / MapPage.Span) is { Resident: null } slot) place = slot.Base;
            }

            if (place.Table != 0) _pages.Prefetch(_export, at / MapPage.Span * MapPage.Span, place);
        }
    }

    /// <summary>Applies one line of a committed table's index.</summary>
    /// <param name="entry">The line.</param>
    /// <param name="table">Ordinal of the table.</param>
    /// <param name="frame">Number of the frame, for a line that has one.</param>
    /// <param name="objectOffset">Where that frame lies in the table object.</param>
    /// <param name="asOf">For a settled line: the place in the chain as of which it was read.</param>
    public void Apply(in TableEntry entry, int table, int frame, long objectOffset, ChainPosition asOf)
    {
        lock (_lock)
        {
            if (entry.Kind == TableEntryKind.Zero)
            {
                ApplyZero(entry.Range, table);
                return;
            }

            MapSlot slot = RequireSlot(entry.Offset / MapPage.Span);
            var value = new Fragment(
                table, frame, objectOffset, entry.SealedBytes, entry.Encoding, (int)entry.Length, skipped: 0);
            if (entry.Kind == TableEntryKind.Settled) ApplySettled(slot, entry.Range, value, asOf);
            else SetDelta(slot, entry.Range, value);
        }
    }

    /// <summary>
    /// Hands the changes so far to a checkpoint and begins anew on top of them. The slots that have any, in order. Only
    /// the single writer may call this, and only when the last frozen changes are installed.
    /// </summary>
    public List<MapSlot> Freeze()
    {
        lock (_lock)
        {
            var frozen = new List<MapSlot>(_dirty);
            foreach (MapSlot slot in frozen)
            {
                slot.Frozen = slot.Delta;
                slot.IsFrozenCleared = slot.ClearedBy != 0;
                slot.Delta = null;
                slot.ClearedBy = 0;
            }

            _dirty.Clear();
            frozen.Sort(static (a, b) => a.Page.CompareTo(b.Page));
            return frozen;
        }
    }

    /// <summary>
    /// Reads the bytes of the stored version of a slot, which only a checkpoint changes; null when there is none. The
    /// caller owns one reference.
    /// </summary>
    public async ValueTask<BufferLease?> ReadBaseAsync(MapSlot slot, CancellationToken cancellation) =>
        slot.Base.Table == 0 ? null : await _pages.ReadAsync(_export, slot.Start, slot.Base, cancellation);

    /// <summary>
    /// The frozen changes of a slot are part of a stored page now. <paramref name="page"/> stays in memory if the older
    /// version was there.
    /// </summary>
    public void Install(MapSlot slot, in Fragment place, MapPage? page)
    {
        lock (_lock)
        {
            if (slot.Frozen is { } folded) _pages.Changed(-1, -folded.Count);
            slot.Frozen = null;
            slot.IsFrozenCleared = false;
            slot.Base = place;
            _pages.SetResident(slot, place.Table != 0 && slot.Resident is not null ? page : null);
            if (place.Table == 0 && !slot.IsDirty) _blocks[slot.Page / BlockSlots]![slot.Page % BlockSlots] = null;
        }
    }

    /// <summary>Puts a stored page in its place, for recovery.</summary>
    /// <returns>False when the export has no such page.</returns>
    public bool TryRestore(long page, in Fragment place)
    {
        lock (_lock)
        {
            if (page < 0 || page / BlockSlots >= _blocks.Length) return false;
            RequireSlot(page).Base = place;
            return true;
        }
    }

    /// <summary>The stored pages, in order. Only the single writer may call this.</summary>
    public IEnumerable<MapSlot> StoredPages()
    {
        foreach (MapSlot?[]? block in _blocks)
        {
            foreach (MapSlot? slot in block ?? [])
            {
                if (slot is not null && slot.Base.Table != 0) yield return slot;
            }
        }
    }

    private static BlockRange PartInPage(long at, long end) =>
        BlockRange.Between(at, Math.Min(end, (at / MapPage.Span + 1) * MapPage.Span));

    private MapSlot? SlotAt(long page) => _blocks[page / BlockSlots]?[page % BlockSlots];

    private MapSlot RequireSlot(long page)
    {
        MapSlot?[] block = _blocks[page / BlockSlots] ??= new MapSlot?[BlockSlots];
        return block[page % BlockSlots] ??= new MapSlot(this, (int)page);
    }

    private bool IsAt(long page, in Fragment place)
    {
        lock (_lock) return SlotAt(page) is { } slot && slot.Base == place;
    }

    // Null when a checkpoint has replaced the page and its object was deleted: then the new one is to be read instead.
    private async ValueTask<MapPage?> TryLoadAsync(long page, Fragment place, CancellationToken cancellation)
    {
        MapPage loaded;
        try
        {
            loaded = await _pages.LoadAsync(_export, page * MapPage.Span, place, cancellation);
        }
        catch (StorageFaultException gone) when (gone.Kind == FaultKind.Corrupt && !IsAt(page, place))
        {
            return null;
        }

        lock (_lock)
        {
            // A checkpoint may have replaced it in the meantime.
            if (SlotAt(page) is { } slot && slot.Base == place) _pages.SetResident(slot, loaded);
        }

        return loaded;
    }

    // False when the part needs the stored page at `wanted`, and neither is it resident nor is it the one that was loaded.
    private bool TryCollectPart(
        BlockRange part, MapPage? loaded, in Fragment place, List<CommittedHit> hits, out Fragment wanted)
    {
        wanted = default;
        if (SlotAt(part.Offset / MapPage.Span) is not { } slot)
        {
            hits.Add(new CommittedHit(part, null));
            return true;
        }

        int before = hits.Count;
        MapPage? stored = slot.Resident ?? (slot.Base == place ? loaded : null);
        if (stored is not null) slot.WasUsed = true;
        if (CollectDelta(slot, part, stored, hits)) return true;
        hits.RemoveRange(before, hits.Count - before);
        wanted = slot.Base;
        return false;
    }

    private bool CollectDelta(MapSlot slot, BlockRange part, MapPage? stored, List<CommittedHit> hits)
    {
        _found.Clear();
        slot.Delta?.Collect(part, _found);
        long at = part.Offset;
        foreach (Extent<Fragment> extent in _found)
        {
            if (!CollectFrozen(slot, BlockRange.Between(at, extent.Range.Offset), stored, hits)) return false;
            Add(hits, extent);
            at = extent.Range.End;
        }

        return CollectFrozen(slot, BlockRange.Between(at, part.End), stored, hits);
    }

    private bool CollectFrozen(MapSlot slot, BlockRange part, MapPage? stored, List<CommittedHit> hits)
    {
        if (part.IsEmpty) return true;
        if (slot.ClearedBy != 0)
        {
            hits.Add(new CommittedHit(part, null));
            return true;
        }

        _foundBelow.Clear();
        slot.Frozen?.Collect(part, _foundBelow);
        long at = part.Offset;
        foreach (Extent<Fragment> extent in _foundBelow)
        {
            if (!CollectStored(slot, BlockRange.Between(at, extent.Range.Offset), stored, hits)) return false;
            Add(hits, extent);
            at = extent.Range.End;
        }

        return CollectStored(slot, BlockRange.Between(at, part.End), stored, hits);
    }

    private bool CollectStored(MapSlot slot, BlockRange part, MapPage? stored, List<CommittedHit> hits)
    {
        if (part.IsEmpty) return true;
        if (slot.IsFrozenCleared || slot.Base.Table == 0)
        {
            hits.Add(new CommittedHit(part, null));
            return true;
        }

        stored?.Collect(_export, slot.Start, part, hits);
        return stored is not null;
    }

    private void Add(List<CommittedHit> hits, in Extent<Fragment> extent) =>
        hits.Add(new CommittedHit(
            extent.Range, extent.Value.IsZero ? null : extent.Value.ToFrame(_export, extent.Range.Offset)));

    private void SetDelta(MapSlot slot, BlockRange range, in Fragment value)
    {
        ExtentMap<Fragment>? delta = slot.Delta;
        int lists = 0;
        if (delta is null)
        {
            if (!slot.IsDirty) _dirty.Add(slot);
            slot.Delta = delta = new ExtentMap<Fragment>();
            lists = 1;
        }

        int before = delta.Count;
        delta.Set(range, value);
        _pages.Changed(lists, delta.Count - before);
    }

    private void ApplyZero(BlockRange range, int table)
    {
        for (long at = range.Offset; at < range.End;)
        {
            BlockRange part = PartInPage(at, range.End);
            at = part.End;
            if (_blocks[part.Offset / MapPage.Span / BlockSlots] is null)
            {
                long blockBytes = BlockSlots * MapPage.Span;
                at = Math.Min(range.End, (part.Offset / blockBytes + 1) * blockBytes);
            }
            else if (SlotAt(part.Offset / MapPage.Span) is { } slot)
            {
                if (part.Length == MapPage.Span) Clear(slot, table);
                else SetDelta(slot, part, Fragment.ZeroBy(table));
            }
        }
    }

    private void Clear(MapSlot slot, int table)
    {
        if (!slot.IsDirty) _dirty.Add(slot);
        if (slot.Delta is { } dropped) _pages.Changed(-1, -dropped.Count);
        slot.Delta = null;
        slot.ClearedBy = table;
    }

    // Only if still current: whatever was committed after the settled bytes were read stays on top of them. All of that
    // is in the delta, because no checkpoint freezes while settled tables are on their way.
    private void ApplySettled(MapSlot slot, BlockRange range, in Fragment value, ChainPosition asOf)
    {
        if (slot.ClearedBy != 0 && IsAfter(slot.ClearedBy, asOf)) return;
        _found.Clear();
        slot.Delta?.Collect(range, _found);
        long at = range.Offset;
        foreach (Extent<Fragment> extent in _found)
        {
            if (!IsAfter(extent.Value.Table, asOf)) continue;
            if (extent.Range.Offset > at)
                SetDelta(slot, BlockRange.Between(at, extent.Range.Offset), value.Skip(at - range.Offset));
            at = extent.Range.End;
        }

        if (at < range.End) SetDelta(slot, BlockRange.Between(at, range.End), value.Skip(at - range.Offset));
    }

    private bool IsAfter(int table, ChainPosition asOf) =>
        _tables[table] is { } info && new ChainPosition(info.Epoch, info.Number) > asOf;
}
