namespace ZeroFlow.Stages.ObjectStores;

/// <summary>What a request to the object store does.</summary>
public enum ObjectRequestKind
{
    /// <summary>PUT, only if there is no object of that name.</summary>
    Create,

    /// <summary>PUT, whatever there is.</summary>
    Write,

    /// <summary>GET of a whole object.</summary>
    Get,

    /// <summary>GET of a range.</summary>
    Range,

    /// <summary>LIST of up to 1000 names.</summary>
    List,

    /// <summary>DELETE.</summary>
    Delete,
}

/// <summary>What a request to the object store is for.</summary>
public enum ObjectPurpose
{
    /// <summary>Opening the store: probing, keys, walking the chain, taking over.</summary>
    Open,

    /// <summary>Bytes that no cache had: for clients, for read-ahead, and for settling.</summary>
    Read,

    /// <summary>Tables of what clients wrote.</summary>
    Drain,

    /// <summary>Tables that give space back, and the indexes that are looked through for that.</summary>
    Settle,

    /// <summary>Pages of the maps and roots.</summary>
    Checkpoint,

    /// <summary>Finding and deleting what is not needed any more.</summary>
    Collect,

    /// <summary>Making sure that nobody took the store over.</summary>
    Prove,

    /// <summary>Reading everything back.</summary>
    Scrub,
}

/// <summary>One attempt on the object store, once it has ended.</summary>
/// <param name="Time">When it began.</param>
/// <param name="Kind">What it did.</param>
/// <param name="Purpose">What for.</param>
/// <param name="Key">Key below the store's prefix; of a listing, the prefix.</param>
/// <param name="Offset">First byte of a range, otherwise 0.</param>
/// <param name="Bytes">Bytes of the body that was sent or asked for; 0 where there is none or it is not known.</param>
/// <param name="Duration">How long it took.</param>
/// <param name="Attempt">Which attempt of its request it was, from 1 on.</param>
/// <param name="Outcome">
/// <c>ok</c>, <c>exists</c>, <c>missing</c>, <c>cancelled</c>, or the sort of failure, by the names that the metrics have.
/// </param>
/// <param name="Error">What a failure said; one sentence without secrets.</param>
public sealed record ObjectRequest(
    DateTimeOffset Time, ObjectRequestKind Kind, ObjectPurpose Purpose, string Key, long Offset, long Bytes, TimeSpan Duration,
    int Attempt, string Outcome, string? Error);
