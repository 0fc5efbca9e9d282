namespace ZeroFlow.Stages.Map;

/// <summary>
/// The slots of one map, in blocks so that a large export that is hardly written takes hardly any memory. A fork costs a
/// reference for each block; blocks and slots are copied when one side changes them. The family's lock guards it.
/// </summary>
internal sealed class MapDirectory
{
    private const int BlockSlots = 1024;

    /// <summary>Bytes of an export that one block describes.</summary>
    public const long BlockSpan = BlockSlots * MapPage.Span;

    private readonly MapFamily _family;
    private Block?[] _blocks;

    public MapDirectory(MapFamily family, long sizeBytes)
    {
        _family = family;
        _blocks = new Block?[BlocksFor(sizeBytes)];
    }

    private MapDirectory(MapFamily family, Block?[] blocks)
    {
        _family = family;
        _blocks = blocks;
    }

    /// <summary>The slot of a page, which others may share; null when nothing was ever there.</summary>
    public MapSlot? this[long page] =>
        page / BlockSlots is var block && block < _blocks.Length ? _blocks[block]?.Slots[page % BlockSlots] : null;

    public bool HasBlockOf(long page) => page / BlockSlots is var block && block < _blocks.Length && _blocks[block] is not null;

    /// <summary>True when the directory has a place for the page.</summary>
    public bool Covers(long page) => page >= 0 && page / BlockSlots < _blocks.Length;

    public void Grow(long sizeBytes)
    {
        if (BlocksFor(sizeBytes) > _blocks.Length) Array.Resize(ref _blocks, BlocksFor(sizeBytes));
    }

    /// <summary>The slot of a page for this map alone: a new one, or a copy where others share it.</summary>
    public MapSlot Own(long page)
    {
        Block block = OwnBlock(page / BlockSlots);
        ref MapSlot? slot = ref block.Slots[page % BlockSlots];
        if (slot is null) slot = new MapSlot((int)page) { Owners = 1 };
        else if (slot.Owners > 1) slot = Split(slot);
        return slot;
    }

    /// <summary>Puts a slot, or none, in the place of a page.</summary>
    public void Put(long page, MapSlot? slot)
    {
        Block block = OwnBlock(page / BlockSlots);
        ref MapSlot? place = ref block.Slots[page % BlockSlots];
        if (place is { } before && --before.Owners == 0) _family.Release(before);
        place = slot;
        if (slot is not null) slot.Owners++;
    }

    /// <summary>A second directory with the same slots.</summary>
    public MapDirectory Fork()
    {
        foreach (Block? block in _blocks)
        {
            if (block is not null) block.Owners++;
        }

        return new MapDirectory(_family, (Block?[])_blocks.Clone());
    }

    /// <summary>Lets go of every slot.</summary>
    public void Drop()
    {
        foreach (Block? block in _blocks)
        {
            if (block is null || --block.Owners > 0) continue;
            foreach (MapSlot? slot in block.Slots)
            {
                if (slot is not null && --slot.Owners == 0) _family.Release(slot);
            }
        }

        _blocks = [];
    }

    /// <summary>The slots, in order.</summary>
    public IEnumerable<MapSlot> Slots()
    {
        foreach (Block? block in _blocks)
        {
            foreach (MapSlot? slot in block?.Slots ?? [])
            {
                if (slot is not null) yield return slot;
            }
        }
    }

    /// <summary>The pages whose slots are not those of <paramref name="other"/>, in order, with the slots of this one.</summary>
    public IEnumerable<(int Page, MapSlot? Slot)> DifferencesFrom(MapDirectory? other)
    {
        for (int index = 0; index < Math.Max(_blocks.Length, other?._blocks.Length ?? 0); index++)
        {
            Block? mine = BlockAt(index), theirs = other?.BlockAt(index);
            if (mine == theirs) continue;
            for (int i = 0; i < BlockSlots; i++)
            {
                MapSlot? slot = mine?.Slots[i];
                if (slot != theirs?.Slots[i]) yield return ((index * BlockSlots) + i, slot);
            }
        }
    }

    private static int BlocksFor(long sizeBytes) => checked((int)((sizeBytes + BlockSpan - 1) / BlockSpan));

    private Block? BlockAt(int index) => index < _blocks.Length ? _blocks[index] : null;

    private Block OwnBlock(long index)
    {
        ref Block? block = ref _blocks[index];
        if (block is null)
        {
            block = new Block(new MapSlot?[BlockSlots]);
        }
        else if (block.Owners > 1)
        {
            block.Owners--;
            block = new Block((MapSlot?[])block.Slots.Clone());
            foreach (MapSlot? slot in block.Slots)
            {
                if (slot is not null) slot.Owners++;
            }
        }

        return block;
    }

    private MapSlot Split(MapSlot shared)
    {
        shared.Owners--;
        var own = new MapSlot(shared.Page) { Owners = 1, ClearedBy = shared.ClearedBy, Delta = shared.Delta?.Copy(), IsWritten = shared.IsWritten };
        own.LieOn(shared.Base);
        if (own.Delta is { } copied) _family.Pages.Changed(1, copied.Count);
        if (own.IsDirty) _family.NoteChanged(own);
        return own;
    }

    private sealed class Block(MapSlot?[] slots)
    {
        public MapSlot?[] Slots { get; } = slots;

        public int Owners { get; set; } = 1;
    }
}
