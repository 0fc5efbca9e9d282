namespace ZeroFlow.Stages.Map;

/// <summary>
/// What lies below the changes of one or more slots: a stored page, and the changes that the checkpoint under way is
/// laying over it. The family's lock guards it.
/// </summary>
internal sealed class SlotBase(MapFamily family, int page)
{
    public MapFamily Family { get; } = family;

    public int Page { get; } = page;

    /// <summary>First byte of the page in the export.</summary>
    public long Start => Page * MapPage.Span;

    /// <summary>Slots that lie on it.</summary>
    public int Owners { get; set; }

    /// <summary>The stored version, or null when there is none.</summary>
    public StoredPage? Stored { get; private set; }

    /// <summary>Changes that the checkpoint under way is laying over the stored version.</summary>
    public ExtentMap<Fragment>? Frozen { get; set; }

    /// <summary>True when the whole page was zeroed before the frozen changes.</summary>
    public bool IsFrozenCleared { get; set; }

    /// <summary>True when a client's writes are among the frozen changes.</summary>
    public bool IsFrozenWritten { get; set; }

    /// <summary>Takes a share in a stored page.</summary>
    public void Share(StoredPage? stored)
    {
        Stored = stored;
        if (stored is not null) stored.Owners++;
    }

    /// <summary>Gives up the share; returns the page when nobody has it any more.</summary>
    public StoredPage? Unshare()
    {
        StoredPage? stored = Stored;
        Stored = null;
        return stored is not null && --stored.Owners == 0 ? stored : null;
    }
}
