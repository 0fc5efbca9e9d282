namespace ZeroFlow.Stages.Map;

/// <summary>
/// One stored version of a page of a map. The maps of an export, its snapshots and its clones share it as long as none of
/// them changes the page.
/// </summary>
/// <remarks>The family's lock guards <see cref="Owners"/>; the page cache guards the rest.</remarks>
internal sealed class StoredPage(MapFamily family, int page, in Fragment place)
{
    private MapPage? _resident;

    public MapFamily Family { get; } = family;

    public int Page { get; } = page;

    /// <summary>First byte of the page in the export.</summary>
    public long Start => Page * MapPage.Span;

    /// <summary>Where it is stored.</summary>
    public Fragment Place { get; } = place;

    /// <summary>How many <see cref="SlotBase"/>s have it. At zero, nothing refers to what its pieces name through it.</summary>
    public int Owners { get; set; }

    /// <summary>The page in memory, or null. May change at any time.</summary>
    public MapPage? Resident
    {
        get => Volatile.Read(ref _resident);
        set => Volatile.Write(ref _resident, value);
    }

    /// <summary>Set by readers and cleared by the cache's clock.</summary>
    public bool WasUsed { get; set; }

    /// <summary>True while the cache's clock knows of the page.</summary>
    public bool IsQueued { get; set; }

    /// <summary>Bytes that the cache has counted for the resident page.</summary>
    public long CountedBytes { get; set; }
}
