using System.Security.Cryptography;
using System.Text;

namespace ZeroFlow.Stages.Keys;

/// <summary>
/// The keys of one store, all derived from its random data key with HKDF-SHA256, each for one purpose. Thread-safe.
/// </summary>
/// <remarks>
/// ChaCha20-Poly1305 has a 96-bit nonce: too short for random nonces under one long-lived key. So each table and each
/// checkpoint has a random 256-bit salt and through it a key of its own, under which nonces are plain counters.
/// </remarks>
public sealed class StoreKeys
{
    /// <summary>Bytes of every key.</summary>
    public const int KeyBytes = 32;

    private readonly byte[] _dataKey;

    internal StoreKeys(Guid storeId, ReadOnlySpan<byte> dataKey)
    {
        StoreId = storeId;
        _dataKey = dataKey.ToArray();
        SealMacKey = Derive([], "zeroflow seal mac v1");
        WalRootKey = Derive([], "zeroflow wal root v1");
    }

    /// <summary>Identity of the store that the keys belong to.</summary>
    public Guid StoreId { get; }

    /// <summary>Root of the keys that seal WAL segments.</summary>
    public byte[] WalRootKey { get; }

    internal byte[] SealMacKey { get; }

    internal byte[] TableKey(ReadOnlySpan<byte> salt) => Derive(salt, "zeroflow table v1");

    internal byte[] CheckpointKey(ReadOnlySpan<byte> salt) => Derive(salt, "zeroflow checkpoint v1");

    private byte[] Derive(ReadOnlySpan<byte> salt, string purpose)
    {
        byte[] key = new byte[KeyBytes];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, _dataKey, key, salt, Encoding.ASCII.GetBytes(purpose));
        return key;
    }
}
