using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (8) upload: creates the table under its number, if the name is free. The name being free is what proves that nobody
/// took the store over.
/// </summary>
internal sealed class UploadStage
{
    private readonly IObjectStore _objects;
    private readonly IObjectStore _settled;
    private readonly StoreKeys _keys;
    private readonly StoreSupervisor _supervisor;

    /// <param name="objects">A store that retries until it has an answer.</param>
    /// <param name="settled">The same one, for settled tables: so that requests are told apart.</param>
    /// <param name="keys">Checks the seal of whoever was first.</param>
    /// <param name="supervisor">Ends waiting uploads when the store stops.</param>
    public UploadStage(IObjectStore objects, IObjectStore settled, StoreKeys keys, StoreSupervisor supervisor)
    {
        _objects = objects;
        _settled = settled;
        _keys = keys;
        _supervisor = supervisor;
    }

    public async Task RunAsync(TableDraft draft)
    {
        string key = ChainNames.Table(draft.Position);
        IObjectStore objects = draft.Settled is null ? _objects : _settled;
        if (await objects.TryCreateAsync(key, draft.Object, _supervisor.Stopping)) return;

        // The name is taken: by an earlier attempt of ours whose reply was lost, or by another writer.
        byte[]? found = await ReadBackAsync(key, draft.BodyBytes);
        if (found is not null && found.AsSpan().SequenceEqual(draft.Object.Span)) return;
        throw Explain(draft.Position, found);
    }

    private async Task<byte[]?> ReadBackAsync(string key, int expectedBytes)
    {
        try
        {
            return await _objects.TryReadAsync(key, Math.Max(expectedBytes, SealObject.Bytes), _supervisor.Stopping);
        }
        catch (ObjectStoreException larger) when (larger.Kind is ObjectStoreErrorKind.Invalid or ObjectStoreErrorKind.ShortBody)
        {
            // Larger than what was sent, so not ours: its head is enough to say whose it is.
            byte[] head = new byte[TableIdentity.Bytes];
            await _objects.ReadRangeAsync(key, 0, head, _supervisor.Stopping);
            return head;
        }
    }

    private StorageFaultException Explain(ChainPosition at, byte[]? found)
    {
        if (found is null)
            return StorageFaultException.Corrupt($"The bucket says that {ChainNames.Table(at)} exists, but it cannot be read.");
        if (TableIdentity.TryRead(found, out TableIdentity? identity) != ParseResult.Ok || identity!.StoreId != _keys.StoreId)
        {
            return StorageFaultException.Corrupt(
                $"A foreign object stands at {ChainNames.Table(at)} in {_objects.Location}, where the next table belongs; remove it and restart.");
        }

        if (identity.Kind == ChainObjectKind.Seal) SealObject.Verify(_keys, at, found);
        return OwnershipProof.FencedBy(identity, at, _objects.Location);
    }
}
