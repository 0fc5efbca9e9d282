namespace ZeroFlow.Stages.ObjectStores;

/// <summary>Why an object request failed, by what to do about it.</summary>
public enum ObjectStoreErrorKind
{
    /// <summary>Timeouts, resets, 500, 503 and the like: try again.</summary>
    Transient,

    /// <summary>The store asks for fewer requests (429, SlowDown): try again, slower.</summary>
    Throttled,

    /// <summary>Credentials or policy do not allow it (401, 403): a person has to act; worth a retry now and then.</summary>
    Denied,

    /// <summary>The bucket or directory is not there: a person has to act; worth a retry now and then.</summary>
    StoreMissing,

    /// <summary>The object is not there.</summary>
    ObjectMissing,

    /// <summary>The body was not as long as it must be: try again, a little.</summary>
    ShortBody,

    /// <summary>No space is left where objects are kept: worth a retry now and then.</summary>
    Full,

    /// <summary>The request itself is wrong (400): retrying is of no use.</summary>
    Invalid,
}

/// <summary>A failed object request.</summary>
public sealed class ObjectStoreException : Exception
{
    /// <summary>Makes the exception; <paramref name="message"/> is one sentence that names the object and the store.</summary>
    public ObjectStoreException(ObjectStoreErrorKind kind, string message, Exception? cause = null)
        : base(message, cause) => Kind = kind;

    /// <summary>Why it failed.</summary>
    public ObjectStoreErrorKind Kind { get; }
}
