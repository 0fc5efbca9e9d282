using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Pipeline.Faults;

/// <summary>What a caller can do about a failure: the coarse side of every error that leaves the engine.</summary>
public enum FaultKind
{
    /// <summary>Not available now; the same call may succeed later.</summary>
    Unavailable,

    /// <summary>Another writer owns the store. Final: stop, never retry.</summary>
    Fenced,

    /// <summary>Stored bytes are missing, altered or not understood. Stop and tell a person.</summary>
    Corrupt,

    /// <summary>No space is left to take the write.</summary>
    Full,

    /// <summary>The request or the configuration is wrong.</summary>
    Invalid,

    /// <summary>What is asked for is not there.</summary>
    NotFound,

    /// <summary>The request is sound, but not in the present state: the name is taken, or clients are attached.</summary>
    Conflict,

    /// <summary>The credentials do not allow it, or the passphrase is wrong.</summary>
    Denied,

    /// <summary>The server is shutting down.</summary>
    Closing,
}

/// <summary>
/// A failure of the engine. The message is one sentence for the person who runs the server: it names the object, range
/// or key, and says what to do where something can be done.
/// </summary>
public sealed class StorageFaultException : Exception
{
    /// <summary>Makes a fault of <paramref name="kind"/>.</summary>
    public StorageFaultException(FaultKind kind, string message, Exception? cause = null)
        : base(message, cause) => Kind = kind;

    /// <summary>What the caller can do about it.</summary>
    public FaultKind Kind { get; }

    /// <summary>
    /// For a read of which only parts failed: those parts, in order and without overlap, as ranges of the export. Everything
    /// else of the read is in its buffer. Empty when nothing of it is.
    /// </summary>
    public IReadOnlyList<BlockRange> FailedRanges { get; init; } = [];

    /// <summary>A fault that says that stored bytes cannot be trusted.</summary>
    public static StorageFaultException Corrupt(string message, Exception? cause = null) =>
        new(FaultKind.Corrupt, message, cause);

    /// <summary>A fault that says that another writer owns the store.</summary>
    public static StorageFaultException Fenced(string message) => new(FaultKind.Fenced, message);
}
