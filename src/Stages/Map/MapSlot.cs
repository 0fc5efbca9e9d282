namespace ZeroFlow.Stages.Map;

/// <summary>
/// The state of one page of a map: what has changed on top of its base. Maps that were forked share slots until one of
/// them changes the page. The family's lock guards it.
/// </summary>
internal sealed class MapSlot(int page)
{
    public int Page { get; } = page;

    /// <summary>Blocks that have it. More than one: whoever changes the page makes a slot of its own first.</summary>
    public int Owners { get; set; }

    /// <summary>What lies below; null for nothing.</summary>
    public SlotBase? Base { get; private set; }

    /// <summary>What has changed since the base, its frozen changes included.</summary>
    public ExtentMap<Fragment>? Delta { get; set; }

    /// <summary>Ordinal of the table that zeroed the whole page, so that nothing below the delta counts; zero for none.</summary>
    public int ClearedBy { get; set; }

    /// <summary>True when not all of the change is data that was moved: a client wrote, too.</summary>
    public bool IsWritten { get; set; }

    public bool IsDirty => Delta is not null || ClearedBy != 0;

    /// <summary>True when the whole page reads as zeros.</summary>
    public bool IsEmpty => !IsDirty && Base is not { Stored: not null } and not { Frozen: not null };

    /// <summary>True while the family lists the slot as changed.</summary>
    public bool IsListed { get; set; }

    /// <summary>Where the stored version is; its table is zero when there is none.</summary>
    public Fragment Place => Base?.Stored?.Place ?? default;

    /// <summary>Lays the slot on another base.</summary>
    public void LieOn(SlotBase? below)
    {
        if (Base is not null) Base.Owners--;
        Base = below;
        if (below is not null) below.Owners++;
    }
}
