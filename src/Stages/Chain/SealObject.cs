using System.Security.Cryptography;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// The tiny object that ends an epoch: an identity that names the writer of the next one, and a MAC over it. Never
/// deleted: it is what stops a writer that was paused before its next PUT.
/// </summary>
internal static class SealObject
{
    public const int Bytes = TableIdentity.Bytes + HMACSHA256.HashSizeInBytes;

    public static byte[] Create(StoreKeys keys, ChainPosition at, Guid newSession, byte[] salt, long unixMs)
    {
        byte[] body = new byte[Bytes];
        new TableIdentity
        {
            Kind = ChainObjectKind.Seal,
            StoreId = keys.StoreId,
            Session = newSession,
            Salt = salt,
            Epoch = at.Epoch,
            Number = at.Number,
            FirstSequence = Sequence.Zero,
            LastSequence = Sequence.Zero,
            CreatedUnixMs = unixMs,
        }.Write(body);
        HMACSHA256.HashData(keys.SealMacKey, body.AsSpan(0, TableIdentity.Bytes), body.AsSpan(TableIdentity.Bytes));
        return body;
    }

    /// <summary>Checks a seal's MAC and place.</summary>
    /// <exception cref="StorageFaultException">It is not a seal of this store at this place.</exception>
    public static TableIdentity Verify(StoreKeys keys, ChainPosition at, ReadOnlySpan<byte> body)
    {
        Span<byte> mac = stackalloc byte[HMACSHA256.HashSizeInBytes];
        if (body.Length == Bytes)
        {
            HMACSHA256.HashData(keys.SealMacKey, body[..TableIdentity.Bytes], mac);
            if (CryptographicOperations.FixedTimeEquals(mac, body[TableIdentity.Bytes..]) &&
                TableIdentity.TryRead(body, out TableIdentity? identity) == ParseResult.Ok &&
                identity!.Kind == ChainObjectKind.Seal && identity.StoreId == keys.StoreId &&
                identity.Epoch == at.Epoch && identity.Number == at.Number)
                return identity;
        }

        throw StorageFaultException.Corrupt($"The object {ChainNames.Table(at)} looks like a seal but was not made by this store.");
    }
}
