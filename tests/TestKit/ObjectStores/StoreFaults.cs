using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.TestKit.ObjectStores;

/// <summary>The calls of an object store.</summary>
public enum StoreOperation
{
    Read,
    TryRead,
    Create,
    Write,
    Delete,
    List,
}

/// <summary>One call, as hooks and faults see it. <see cref="Key"/> is the prefix for a listing.</summary>
public readonly record struct StoreCall(StoreOperation Operation, string Key);

/// <summary>
/// How often a <see cref="SimulatedObjectStore"/> misbehaves by chance, each from 0 to 1, and how slow it is.
/// </summary>
public sealed record StoreFaults
{
    public static StoreFaults None { get; } = new();

    /// <summary>Fails before anything happened.</summary>
    public double TransientRate { get; init; }

    public double ThrottledRate { get; init; }

    /// <summary>A change is applied, and then its reply is lost: the caller sees a transient failure.</summary>
    public double ReplyLostRate { get; init; }

    /// <summary>A read fails as too short.</summary>
    public double ShortBodyRate { get; init; }

    /// <summary>Bounds of the time that each call takes, drawn evenly; zero completes without a timer.</summary>
    public TimeSpan LatencyMin { get; init; }

    public TimeSpan LatencyMax { get; init; }
}

/// <summary>What a programmed fault does to the call that it hits.</summary>
/// <param name="Kind">The failure that the caller sees.</param>
/// <param name="IsApplied">The call takes effect all the same: only its reply is lost.</param>
public readonly record struct StoreFault(ObjectStoreErrorKind Kind, bool IsApplied = false)
{
    /// <summary>The call takes effect and the caller sees a transient failure.</summary>
    public static StoreFault ReplyLost => new(ObjectStoreErrorKind.Transient, IsApplied: true);
}
