using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Map;

/// <summary>A found piece of the committed map: a part of a frame, or a hole when <see cref="Frame"/> is null.</summary>
internal readonly record struct CommittedHit(BlockRange Range, FrameRef? Frame);

/// <summary>
/// What the chain says about one export or snapshot, a pure function of the committed tables. In layers, newest first:
/// the changes since the last checkpoint; those that the checkpoint under way is folding; the stored pages, of which
/// only some are in memory. Thread-safe: many readers, one writer (the commit stage, or recovery); the family's lock is
/// never held across I/O.
/// </summary>
/// <remarks>
/// Changes go on top without looking at what they cover, so a commit never waits for a page to come from the bucket,
/// and neither does opening a store. What a change made dead is known when the checkpoint folds it into its page: that
/// is where the live bytes of tables are counted.
/// </remarks>
internal sealed partial class CommittedMap
{
    private readonly MapFamily _family;
    private readonly MapDirectory _slots;
    private readonly ChainPosition _since;
    private bool _isDropped;

    /// <summary>Makes the empty map of a new export, the first of its family.</summary>
    public CommittedMap(TableRegistry tables, MapPages pages, ExportId export, long sizeBytes)
    {
        _family = new MapFamily(export, tables, pages);
        _slots = new MapDirectory(_family, sizeBytes);
    }

    private CommittedMap(MapFamily family, MapDirectory slots, ChainPosition since)
    {
        _family = family;
        _slots = slots;
        _since = since;
    }

    /// <summary>The maps that this one shares pages with.</summary>
    public MapFamily Family => _family;

    /// <summary>
    /// A map that says the same from here on, and changes by itself: for a snapshot, a clone or a rollback.
    /// </summary>
    /// <param name="since">The place in the chain of the table that makes it.</param>
    public CommittedMap Fork(ChainPosition since)
    {
        lock (_family.Lock) return new CommittedMap(_family, _slots.Fork(), since);
    }

    /// <summary>The slots as they are now, for a checkpoint, which drops them by <see cref="DropView"/>.</summary>
    public MapDirectory View()
    {
        lock (_family.Lock) return _slots.Fork();
    }

    public void DropView(MapDirectory view)
    {
        lock (_family.Lock) view.Drop();
    }

    /// <summary>The slot of a page, which tells maps that share it from those that do not; null when nothing was ever there.</summary>
    public MapSlot? SlotOf(long page)
    {
        lock (_family.Lock) return _slots[page];
    }

    /// <summary>Lets go of everything: the export was deleted, or has another map.</summary>
    public void Drop()
    {
        lock (_family.Lock)
        {
            _isDropped = true;
            _slots.Drop();
        }
    }

    /// <summary>Makes room for a larger export.</summary>
    public void Grow(long sizeBytes)
    {
        lock (_family.Lock) _slots.Grow(sizeBytes);
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
            lock (_family.Lock)
            {
                if (!TryCollectPart(part, null, null, hits, out _))
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
                lock (_family.Lock)
                {
                    if (TryCollectPart(part, cursor.Loaded, cursor.Stored, hits, out StoredPage? wanted)) break;
                    cursor.Stored = wanted;
                }

                cursor.Loaded = await TryLoadAsync(cursor.Stored!, cancellation);
            }

            at = part.End;
        }
    }

    /// <summary>Applies one line of a committed table's index.</summary>
    /// <param name="frame">The line, and the frame that holds its range, unless it is of zeros.</param>
    /// <param name="range">What of its range lies in the export: all of it, or its beginning.</param>
    /// <param name="table">Ordinal of the table.</param>
    /// <param name="asOf">For a settled line: the place in the chain as of which it was read.</param>
    public void Apply(in TableFrame frame, BlockRange range, int table, ChainPosition asOf)
    {
        TableEntry entry = frame.Entry;
        lock (_family.Lock)
        {
            if (entry.Kind == TableEntryKind.Zero)
            {
                ApplyZero(range, table);
                return;
            }

            var value = new Fragment(
                table, frame.Number, frame.ObjectOffset, entry.SealedBytes, entry.Encoding, (int)entry.Length, skipped: 0);
            long page = range.Offset / MapPage.Span;
            if (entry.IsSettled) ApplySettled(page, range, value, asOf);
            else SetWritten(_slots.Own(page), range, value);
        }
    }

    /// <summary>Puts a stored page, or none, in its place, for recovery.</summary>
    /// <param name="page">Number of the page.</param>
    /// <param name="place">Where it is stored; no table for no page.</param>
    /// <param name="known">The family's pages so far: maps that name the same page share it.</param>
    /// <returns>False when the export has no such page.</returns>
    public bool TryRestore(long page, in Fragment place, Dictionary<Fragment, MapSlot> known)
    {
        lock (_family.Lock)
        {
            if (!_slots.Covers(page)) return false;
            MapSlot? slot = null;
            if (place.Table != 0 && !known.TryGetValue(place, out slot))
            {
                var stored = new StoredPage(_family, (int)page, place);
                var below = new SlotBase(_family, (int)page);
                below.Share(stored);
                known[place] = slot = new MapSlot((int)page);
                slot.LieOn(below);
            }

            if (slot is not null && slot.Page != page) return false;
            _slots.Put(page, slot);
            return true;
        }
    }

    /// <summary>The slots that have a stored page, in order. Only the single writer may call this.</summary>
    public IEnumerable<MapSlot> StoredPages() => _slots.Slots().Where(static slot => slot.Place.Table != 0);

    private static BlockRange PartInPage(long at, long end) =>
        BlockRange.Between(at, Math.Min(end, (at / MapPage.Span + 1) * MapPage.Span));

    private bool IsAt(long page, StoredPage stored)
    {
        lock (_family.Lock) return _slots[page]?.Base?.Stored == stored;
    }

    // Null when a checkpoint has replaced the page and its object was deleted: then the new one is to be read instead.
    private async ValueTask<MapPage?> TryLoadAsync(StoredPage stored, CancellationToken cancellation)
    {
        MapPage loaded;
        try
        {
            loaded = await _family.Pages.LoadAsync(stored, cancellation);
        }
        catch (StorageFaultException gone) when (gone.Kind == FaultKind.Corrupt && !IsAt(stored.Page, stored))
        {
            return null;
        }

        lock (_family.Lock)
        {
            // A checkpoint may have replaced it in the meantime.
            if (stored.Owners > 0) _family.Pages.SetResident(stored, loaded);
        }

        return loaded;
    }

    // False when the part needs the stored page `wanted`, and neither is it resident nor is it the one that was loaded.
    private bool TryCollectPart(
        BlockRange part, MapPage? loaded, StoredPage? loadedFrom, List<CommittedHit> hits, out StoredPage? wanted)
    {
        wanted = null;
        if (_isDropped) throw new StorageFaultException(FaultKind.Closing, "The export was deleted or rolled back.");
        if (_slots[part.Offset / MapPage.Span] is not { } slot)
        {
            hits.Add(new CommittedHit(part, null));
            return true;
        }

        int before = hits.Count;
        StoredPage? stored = slot.Base?.Stored;
        MapPage? page = stored?.Resident ?? (stored == loadedFrom ? loaded : null);
        if (page is not null) stored!.WasUsed = true;
        if (CollectDelta(slot, part, page, hits)) return true;
        hits.RemoveRange(before, hits.Count - before);
        wanted = stored;
        return false;
    }

    private bool CollectDelta(MapSlot slot, BlockRange part, MapPage? stored, List<CommittedHit> hits)
    {
        _family.Found.Clear();
        slot.Delta?.Collect(part, _family.Found);
        long at = part.Offset;
        foreach (Extent<Fragment> extent in _family.Found)
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

        _family.FoundBelow.Clear();
        slot.Base?.Frozen?.Collect(part, _family.FoundBelow);
        long at = part.Offset;
        foreach (Extent<Fragment> extent in _family.FoundBelow)
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
        if (slot.Base is not { Stored: not null, IsFrozenCleared: false })
        {
            hits.Add(new CommittedHit(part, null));
            return true;
        }

        if (stored == s_unread)
        {
            hits.Add(new CommittedHit(part, default(FrameRef)));
            return true;
        }

        stored?.Collect(_family.Id, slot.Page * MapPage.Span, part, hits);
        return stored is not null;
    }

    private void Add(List<CommittedHit> hits, in Extent<Fragment> extent) =>
        hits.Add(new CommittedHit(
            extent.Range, extent.Value.IsZero ? null : extent.Value.ToFrame(_family.Id, extent.Range.Offset)));

    private void SetWritten(MapSlot slot, BlockRange range, in Fragment value)
    {
        slot.IsWritten = true;
        SetDelta(slot, range, value);
    }

    private void SetDelta(MapSlot slot, BlockRange range, in Fragment value)
    {
        ExtentMap<Fragment>? delta = slot.Delta;
        int lists = 0;
        if (delta is null)
        {
            slot.Delta = delta = new ExtentMap<Fragment>();
            _family.NoteChanged(slot);
            lists = 1;
        }

        int before = delta.Count;
        delta.Set(range, value);
        _family.Pages.Changed(lists, delta.Count - before);
    }

    private void ApplyZero(BlockRange range, int table)
    {
        for (long at = range.Offset; at < range.End;)
        {
            BlockRange part = PartInPage(at, range.End);
            long page = part.Offset / MapPage.Span;
            at = part.End;
            if (!_slots.HasBlockOf(page))
            {
                at = Math.Min(range.End, (part.Offset / MapDirectory.BlockSpan + 1) * MapDirectory.BlockSpan);
            }
            else if (_slots[page] is { IsEmpty: false } slot)
            {
                slot = _slots.Own(page);
                if (part.Length == MapPage.Span) Clear(slot, table);
                else SetWritten(slot, part, Fragment.ZeroBy(table));
            }
        }
    }

    private void Clear(MapSlot slot, int table)
    {
        if (slot.Delta is { } dropped) _family.Pages.Changed(-1, -dropped.Count);
        slot.Delta = null;
        slot.ClearedBy = table;
        slot.IsWritten = true;
        _family.NoteChanged(slot);
    }

    // Only if still current: whatever was committed after the settled bytes were read stays on top of them. All of that
    // is in the delta: StoreState passes no line over that was read before a checkpoint.
    // The slot is changed where it is, for all maps that share it: what it says does not change. A map that came to be
    // after the bytes were read, by a rollback, has others.
    private void ApplySettled(long page, BlockRange range, in Fragment value, ChainPosition asOf)
    {
        if (asOf < _since || _slots[page] is not { } slot) return;
        if (slot.ClearedBy != 0 && IsAfter(slot.ClearedBy, asOf)) return;
        _family.Found.Clear();
        slot.Delta?.Collect(range, _family.Found);
        long at = range.Offset;
        foreach (Extent<Fragment> extent in _family.Found)
        {
            if (!IsAfter(extent.Value.Table, asOf)) continue;
            if (extent.Range.Offset > at)
                SetDelta(slot, BlockRange.Between(at, extent.Range.Offset), value.Skip(at - range.Offset));
            at = extent.Range.End;
        }

        if (at < range.End) SetDelta(slot, BlockRange.Between(at, range.End), value.Skip(at - range.Offset));
    }

    private bool IsAfter(int table, ChainPosition asOf) =>
        _family.Tables[table] is { } info && new ChainPosition(info.Epoch, info.Number) > asOf;
}
