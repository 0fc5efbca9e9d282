using System.Security.Cryptography;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tables;

/// <summary>What stands at one place of the chain.</summary>
internal abstract record ChainObject
{
    /// <summary>A table with its opened index.</summary>
    public sealed record Table(TableInfo Info, TableIndex Index, Guid Session, long CreatedUnixMs) : ChainObject;

    /// <summary>The end of the epoch.</summary>
    public sealed record Seal(TableIdentity Identity) : ChainObject;
}

/// <summary>Reads and authenticates the objects of the chain. Thread-safe.</summary>
internal sealed class TableReader
{
    // The tail that one request fetches: enough for the footer and the index of a typical table, so that opening costs
    // one round trip for each.
    private const int TailBytes = 64 * 1024;

    private readonly IObjectStore _objects;
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;

    public TableReader(IObjectStore objects, StoreKeys keys, IChunkCodec codec)
    {
        _objects = objects;
        _keys = keys;
        _codec = codec;
    }

    /// <summary>Reads what stands at <paramref name="at"/>, an object of <paramref name="objectBytes"/> bytes.</summary>
    /// <exception cref="StorageFaultException">It is foreign, damaged, or of a newer format.</exception>
    /// <exception cref="ObjectStoreException">It is not there, or cannot be read.</exception>
    public async Task<ChainObject> ReadAsync(ChainPosition at, long objectBytes, CancellationToken cancellation)
    {
        string key = ChainNames.Table(at);
        byte[] tail = new byte[Math.Min(objectBytes, TailBytes)];
        await _objects.ReadRangeAsync(key, objectBytes - tail.Length, tail, cancellation);
        if (objectBytes == SealObject.Bytes) return new ChainObject.Seal(SealObject.Verify(_keys, at, tail));

        ParseResult parsed = tail.Length < TableFooter.Bytes
            ? ParseResult.Damaged
            : TableFooter.TryRead(tail.AsSpan(tail.Length - TableFooter.Bytes), out _);
        if (parsed != ParseResult.Ok) throw await ExplainAsync(key, parsed, cancellation);
        TableFooter.TryRead(tail.AsSpan(tail.Length - TableFooter.Bytes), out TableFooter? footer);
        Check(key, at, objectBytes, footer!);

        byte[] footerBytes = tail[^TableFooter.Bytes..];
        byte[] sealedIndex = new byte[footer!.IndexSealedBytes];
        long tailStart = objectBytes - tail.Length;
        if (footer.IndexOffset >= tailStart)
            tail.AsSpan((int)(footer.IndexOffset - tailStart), sealedIndex.Length).CopyTo(sealedIndex);
        else
            await _objects.ReadRangeAsync(key, footer.IndexOffset, sealedIndex, cancellation);
        return Open(key, footer, footerBytes, sealedIndex);
    }

    /// <summary>Reads what stands at <paramref name="at"/>, or null when nothing does.</summary>
    public async Task<ChainObject?> TryReadAsync(ChainPosition at, CancellationToken cancellation)
    {
        string key = ChainNames.Table(at);
        long? size = null;
        await foreach (ObjectEntry entry in _objects.ListAsync(key, null, cancellation))
        {
            if (entry.Key == key) size = entry.SizeBytes;
        }

        return size is null ? null : await ReadAsync(at, size.Value, cancellation);
    }

    private ChainObject.Table Open(string key, TableFooter footer, byte[] footerBytes, byte[] sealedIndex)
    {
        TableIdentity identity = footer.Identity;
        byte[] tableKey = _keys.TableKey(identity.Salt);
        byte[] encoded = new byte[sealedIndex.Length - FrameSealer.TagBytes];
        byte[] plain = encoded;
        try
        {
            using var sealer = new FrameSealer(tableKey, _keys.StoreId, identity.Epoch, identity.Number);
            sealer.OpenIndex(sealedIndex, footerBytes, encoded);
            if (footer.IndexIsCompressed)
            {
                plain = new byte[footer.IndexPlainBytes];
                _codec.Decompress(encoded, plain);
            }
        }
        catch (AuthenticationTagMismatchException altered)
        {
            throw StorageFaultException.Corrupt(
                $"The index of table {key} in {_objects.Location} is not what was stored: its seal does not open.", altered);
        }

        if (!TableIndex.TryRead(plain, out TableIndex index))
            throw StorageFaultException.Corrupt($"The index of table {key} in {_objects.Location} contradicts itself.");
        var info = new TableInfo
        {
            Epoch = identity.Epoch,
            Number = identity.Number,
            Salt = identity.Salt,
            Key = tableKey,
            ObjectBytes = footer.ObjectBytes,
            FirstSequence = identity.FirstSequence,
            LastSequence = identity.LastSequence,
            ObjectKey = key,
            PlainBytes = index.DataBytes,
        };
        return new ChainObject.Table(info, index, identity.Session, identity.CreatedUnixMs);
    }

    private void Check(string key, ChainPosition at, long objectBytes, TableFooter footer)
    {
        TableIdentity identity = footer.Identity;
        if (identity.StoreId != _keys.StoreId)
            throw StorageFaultException.Corrupt($"The object {key} in {_objects.Location} belongs to another store ({identity.StoreId}).");
        if (identity.Kind != ChainObjectKind.Table || identity.Epoch != at.Epoch || identity.Number != at.Number)
            throw StorageFaultException.Corrupt($"The object {key} in {_objects.Location} is table {identity.Epoch}/{identity.Number} under a wrong name.");
        if (footer.ObjectBytes != objectBytes)
            throw StorageFaultException.Corrupt($"The table {key} in {_objects.Location} has {objectBytes} bytes instead of {footer.ObjectBytes}.");
    }

    // The footer could not be read: the object's first bytes tell a truncated table from a foreign object.
    private async Task<StorageFaultException> ExplainAsync(string key, ParseResult parsed, CancellationToken cancellation)
    {
        var head = ParseResult.Foreign;
        byte[] first = new byte[TableIdentity.Bytes];
        try
        {
            await _objects.ReadRangeAsync(key, 0, first, cancellation);
            head = TableIdentity.TryRead(first, out _);
        }
        catch (ObjectStoreException unreadable) when (unreadable.Kind is ObjectStoreErrorKind.ShortBody or ObjectStoreErrorKind.Invalid)
        {
            // Shorter than an identity: foreign.
        }

        if (parsed == ParseResult.Newer || head == ParseResult.Newer)
        {
            return new StorageFaultException(
                FaultKind.Invalid, $"The table {key} in {_objects.Location} has a newer format than this program knows. Use a newer ZeroFlow.");
        }

        return StorageFaultException.Corrupt(head == ParseResult.Foreign
            ? $"The object {key} in {_objects.Location} is not a ZeroFlow table; remove it if it does not belong there."
            : $"The table {key} in {_objects.Location} is truncated or damaged: its footer cannot be read.");
    }
}
