using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Map;

/// <summary>
/// An export with its snapshots and clones: maps that share pages, under one lock. Frames and pages are sealed for the
/// family, so each of its members can open them.
/// </summary>
internal sealed class MapFamily(ExportId id, TableRegistry tables, MapPages pages)
{
    private readonly List<MapSlot> _changed = [];
    private List<StoredPage> _released = [];

    /// <summary>The export that the family began with; its identity in every seal.</summary>
    public ExportId Id { get; } = id;

    public TableRegistry Tables { get; } = tables;

    public MapPages Pages { get; } = pages;

    /// <summary>Guards every map, slot and base of the family. Never held across I/O.</summary>
    public Lock Lock { get; } = new();

    /// <summary>Scratch for look-ups, which hold the lock.</summary>
    public List<Extent<Fragment>> Found { get; } = [];

    /// <inheritdoc cref="Found"/>
    public List<Extent<Fragment>> FoundBelow { get; } = [];

    /// <summary>Lists a slot whose first change comes now. Under the lock.</summary>
    public void NoteChanged(MapSlot slot)
    {
        if (slot.IsListed) return;
        slot.IsListed = true;
        _changed.Add(slot);
    }

    /// <summary>A slot that no map has any more. Under the lock.</summary>
    public void Release(MapSlot slot)
    {
        if (slot.Delta is { } dropped) Pages.Changed(-1, -dropped.Count);
        slot.Delta = null;
        slot.ClearedBy = 0;
        slot.IsWritten = false;
        SlotBase? below = slot.Base;
        slot.LieOn(null);
        if (below is not { Owners: 0 } || below.Unshare() is not { } stored) return;
        Pages.SetResident(stored, null);
        _released.Add(stored);
    }

    /// <summary>
    /// Hands the changes so far to a checkpoint: they become the frozen layer of the slots' bases, which are appended to
    /// <paramref name="frozen"/>. Only the single writer may call this, and only when the last ones are installed.
    /// </summary>
    public void Freeze(List<SlotBase> frozen)
    {
        lock (Lock)
        {
            foreach (MapSlot slot in _changed)
            {
                slot.IsListed = false;
                if (!slot.IsDirty) continue;
                SlotBase below = OwnBase(slot);
                below.Frozen = slot.Delta;
                below.IsFrozenCleared = slot.ClearedBy != 0;
                below.IsFrozenWritten = slot.IsWritten;
                slot.Delta = null;
                slot.ClearedBy = 0;
                slot.IsWritten = false;
                frozen.Add(below);
            }

            _changed.Clear();
        }
    }

    /// <inheritdoc cref="TakeReleased"/>
    public IReadOnlyList<StoredPage> Released
    {
        get
        {
            lock (Lock) return [.. _released];
        }
    }

    /// <summary>Stored pages that nobody has any more, and whose pieces no checkpoint has discounted yet.</summary>
    public List<StoredPage> TakeReleased()
    {
        lock (Lock)
        {
            List<StoredPage> released = _released;
            _released = [];
            return released;
        }
    }

    /// <summary>
    /// The frozen changes of <paramref name="below"/> are part of a stored page now, or of none when the place is empty.
    /// <paramref name="page"/> stays in memory if the older version was there.
    /// </summary>
    public void Install(SlotBase below, in Fragment place, MapPage? page)
    {
        lock (Lock)
        {
            if (below.Frozen is { } folded) Pages.Changed(-1, -folded.Count);
            below.Frozen = null;
            below.IsFrozenCleared = false;
            below.IsFrozenWritten = false;
            bool wasResident = below.Stored?.Resident is not null;

            // Who let this version go has discounted it: the checkpoint that is being installed.
            if (below.Unshare() is { } replaced) Pages.SetResident(replaced, null);
            if (place.Table == 0) return;
            var stored = new StoredPage(this, below.Page, place);
            below.Share(stored);
            if (wasResident && page is not null) Pages.SetResident(stored, page);
        }
    }

    // A base that the slot shares stays as it is for the others.
    private SlotBase OwnBase(MapSlot slot)
    {
        if (slot.Base is { Owners: 1 } own) return own;
        var below = new SlotBase(this, slot.Page);
        below.Share(slot.Base?.Stored);
        slot.LieOn(below);
        return below;
    }
}
