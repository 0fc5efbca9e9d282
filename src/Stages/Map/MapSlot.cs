namespace ZeroFlow.Stages.Map;

/// <summary>
/// The state of one page of a map: its last stored version, and what has changed since. The map that it belongs to
/// guards it, except <see cref="Resident"/> and <see cref="WasUsed"/>, which the page cache may change at any time.
/// </summary>
internal sealed class MapSlot(CommittedMap map, int page)
{
    private MapPage? _resident;

    public CommittedMap Map { get; } = map;

    public int Page { get; } = page;

    /// <summary>First byte of the page in the export.</summary>
    public long Start => Page * MapPage.Span;

    /// <summary>Where the stored version is; its table is zero when there is none.</summary>
    public Fragment Base { get; set; }

    /// <summary>The stored version in memory, or null.</summary>
    public MapPage? Resident
    {
        get => Volatile.Read(ref _resident);
        set => Volatile.Write(ref _resident, value);
    }

    /// <summary>What has changed since the stored version, or since the frozen changes when there are any.</summary>
    public ExtentMap<Fragment>? Delta { get; set; }

    /// <summary>Ordinal of the table that zeroed the whole page, so that nothing below the delta counts; zero for none.</summary>
    public int ClearedBy { get; set; }

    /// <summary>Changes that the checkpoint under way is laying over the stored version.</summary>
    public ExtentMap<Fragment>? Frozen { get; set; }

    /// <summary>True when the whole page was zeroed before the frozen changes.</summary>
    public bool IsFrozenCleared { get; set; }

    public bool IsDirty => Delta is not null || ClearedBy != 0;

    /// <summary>Set by readers and cleared by the cache's clock.</summary>
    public bool WasUsed { get; set; }

    /// <summary>True while the cache's clock knows of the slot. The cache guards it.</summary>
    public bool IsQueued { get; set; }

    /// <summary>Bytes that the cache has counted for the resident page. The cache guards it.</summary>
    public long CountedBytes { get; set; }
}
