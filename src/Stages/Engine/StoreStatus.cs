namespace ZeroFlow.Stages.Engine;

/// <summary>A store's state at one moment, for probes and people.</summary>
/// <param name="IsFenced">Another server owns the store.</param>
/// <param name="Fault">Why the store stopped, or null.</param>
/// <param name="BucketReachable">False while requests to the bucket fail.</param>
/// <param name="LastStoreError">The newest failure of the bucket, or null.</param>
/// <param name="DirtyBytes">WAL bytes that no committed table covers.</param>
/// <param name="OldestUnpublished">Age of the oldest write that only the WAL holds.</param>
/// <param name="Epoch">This writer's term.</param>
/// <param name="LastTable">Number of the last committed table in it.</param>
/// <param name="BucketSince">When <paramref name="BucketReachable"/> last changed, or the store was opened.</param>
/// <param name="DirtyBytesMax">WAL bytes at which writes are held back.</param>
public sealed record StoreStatus(
    bool IsFenced,
    string? Fault,
    bool BucketReachable,
    string? LastStoreError,
    long DirtyBytes,
    TimeSpan OldestUnpublished,
    uint Epoch,
    ulong LastTable,
    DateTimeOffset BucketSince,
    long DirtyBytesMax);

/// <summary>What a stop left behind.</summary>
/// <param name="EverythingPublished">The bucket holds all that was acknowledged.</param>
/// <param name="BytesLeft">WAL bytes that wait for the next start.</param>
public sealed record StopReport(bool EverythingPublished, long BytesLeft);

/// <summary>What a store holds in the bucket, and what keeping it small has cost.</summary>
/// <param name="LiveBytes">Plain bytes that some export reads, as of the last checkpoint.</param>
/// <param name="TableBytes">Bytes of the objects with data that count.</param>
/// <param name="MapBytes">Bytes of the objects with pages of the maps.</param>
/// <param name="SettledBytes">Plain bytes that this process has rewritten.</param>
/// <param name="WaitingObjects">Objects that wait for their grace period before they are deleted.</param>
/// <param name="MergedBytes">Those of the rewritten bytes that were rewritten only to lie together.</param>
/// <param name="FragmentedPages">Pages of the maps whose data is in so many pieces that it pays to merge them, as of the last checkpoint.</param>
public sealed record StoreSpace(
    long LiveBytes, long TableBytes, long MapBytes, long SettledBytes, int WaitingObjects, long MergedBytes, int FragmentedPages);
