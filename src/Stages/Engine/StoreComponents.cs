using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;

namespace ZeroFlow.Stages.Engine;

/// <summary>What a store is read and written with. The caller keeps the ownership of every part.</summary>
public sealed record StoreComponents : ReadingComponents
{
    /// <summary>Where the WAL lives.</summary>
    public required IWalDisk WalDisk { get; init; }

    /// <summary>Directory of the disk cache, or null for none. Disposable at any time while stopped.</summary>
    public string? CacheDirectory { get; init; }

    /// <summary>The cost of guessing the passphrase of a store that is made now.</summary>
    public KdfCost NewStoreKdf { get; init; } = KdfCost.Default;
}
