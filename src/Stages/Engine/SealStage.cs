using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (6) seal: encrypts every frame in place, under a key that only this table has; and (7) table: header, index and
/// footer around them.
/// </summary>
internal sealed class SealStage
{
    private readonly StoreKeys _keys;
    private readonly IEntropy _entropy;

    public SealStage(StoreKeys keys, IEntropy entropy)
    {
        _keys = keys;
        _entropy = entropy;
    }

    public void Run(TableDraft draft)
    {
        byte[] salt = new byte[TableIdentity.SaltBytes];
        _entropy.Fill(salt);
        draft.Salt = salt;
        draft.Key = _keys.TableKey(salt);
        using var sealer = new FrameSealer(draft.Key, _keys.StoreId, draft.Position.Epoch, draft.Position.Number);
        Span<byte> body = draft.Body!.Span;
        foreach (var (number, offset, entry) in draft.Index!.Frames())
        {
            sealer.Seal(
                number, entry with { Export = draft.Plans[number].Family }, body.Slice((int)offset, entry.SealedBytes));
        }
    }
}

/// <inheritdoc cref="SealStage"/>
internal sealed class TableStage
{
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;
    private readonly Guid _session;
    private readonly TimeProvider _time;

    public TableStage(StoreKeys keys, IChunkCodec codec, Guid session, TimeProvider time)
    {
        _keys = keys;
        _codec = codec;
        _session = session;
        _time = time;
    }

    public void Run(TableDraft draft)
    {
        var identity = new TableIdentity
        {
            Kind = ChainObjectKind.Table,
            StoreId = _keys.StoreId,
            Session = _session,
            Salt = draft.Salt,
            Epoch = draft.Position.Epoch,
            Number = draft.Position.Number,
            FirstSequence = draft.FirstSequence,
            LastSequence = draft.LastSequence,
            CreatedUnixMs = _time.GetUtcNow().ToUnixTimeMilliseconds(),
        };
        Span<byte> body = draft.Body!.Span;
        identity.Write(body);

        TableIndex index = draft.Index!;
        int indexOffset = draft.BodyBytes;
        byte[] plain = new byte[index.PlainBytes];
        index.Write(plain);
        int encoded = _codec.TryCompress(plain, body.Slice(indexOffset, plain.Length), 1);
        bool compressed = encoded > 0;
        if (!compressed)
        {
            plain.CopyTo(body[indexOffset..]);
            encoded = plain.Length;
        }

        int sealedBytes = encoded + FrameSealer.TagBytes;
        int objectBytes = indexOffset + sealedBytes + TableFooter.Bytes;
        var footer = new TableFooter(
            identity, indexOffset, sealedBytes, plain.Length, draft.Plans.Count, compressed, objectBytes);
        Span<byte> footerBytes = body.Slice(indexOffset + sealedBytes, TableFooter.Bytes);
        footer.Write(footerBytes);
        using var sealer = new FrameSealer(draft.Key, _keys.StoreId, draft.Position.Epoch, draft.Position.Number);
        sealer.SealIndex(body.Slice(indexOffset, sealedBytes), footerBytes);
        draft.BodyBytes = objectBytes;
    }
}
