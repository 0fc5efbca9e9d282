namespace ZeroFlow.Stages.Map;

/// <summary>The stored page that a walk over one map has loaded last. Not thread-safe.</summary>
internal sealed class MapCursor
{
    public long Page { get; private set; } = -1;

    /// <summary>The version that the map named.</summary>
    public StoredPage? Stored { get; set; }

    public MapPage? Loaded { get; set; }

    /// <summary>Goes to a page; what was loaded of another one is forgotten.</summary>
    public void MoveTo(long page)
    {
        if (page == Page) return;
        Page = page;
        Stored = null;
        Loaded = null;
    }
}
