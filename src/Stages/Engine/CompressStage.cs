using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (5) compress: encodes each frame straight into its place in the object, with room for its tag behind it. A frame that
/// does not shrink is stored raw.
/// </summary>
internal sealed class CompressStage
{
    private readonly IChunkCodec _codec;
    private readonly BufferPool _buffers;
    private readonly Func<ExportId, int> _levelOf;

    public CompressStage(IChunkCodec codec, BufferPool buffers, Func<ExportId, int> levelOf)
    {
        _codec = codec;
        _buffers = buffers;
        _levelOf = levelOf;
    }

    public void Run(TableDraft draft)
    {
        draft.Index = new TableIndex(CatalogOf(draft), draft.Entries);
        draft.Entries.EnsureCapacity(LinesOf(draft));
        BufferLease body = _buffers.Rent(BodyBytesMax(draft));
        draft.Body = body;
        int at = TableIdentity.Bytes;
        foreach (FramePlan plan in draft.Plans)
        {
            Span<byte> room = body.Span[at..];
            int encoded = Encode(draft, plan, room, out FrameEncoding encoding);
            int sealedBytes = encoded + FrameSealer.TagBytes;
            draft.Entries.Add(EntryOf(draft, plan, encoding, sealedBytes));
            at += sealedBytes;
        }

        foreach ((int frame, ExportId map) in draft.Settled?.Again ?? [])
        {
            draft.Entries.Add(draft.Entries[frame] with
            {
                Kind = TableEntryKind.SettledAgain,
                Encoding = FrameEncoding.Raw,
                Export = map,
                SealedBytes = frame,
            });
        }

        draft.Entries.AddRange(draft.Zeros);
        draft.BodyBytes = at;
        draft.ReleasePayloads();
    }

    private static List<CatalogRecord> CatalogOf(TableDraft draft) =>
    [
        .. draft.Records
            .Where(r => r.CatalogChange is not null)
            .Select(r => new CatalogRecord(r.Header.Sequence, r.CatalogChange!)),
    ];

    private static TableEntry EntryOf(TableDraft draft, in FramePlan plan, FrameEncoding encoding, int sealedBytes)
    {
        var entry = new TableEntry(TableEntryKind.Frame, encoding, plan.Export, plan.Offset, plan.Length, sealedBytes);
        if (draft.Settled is not { } settled) return entry;
        return entry with
        {
            Kind = TableEntryKind.Settled,
            TablesBack = checked((uint)(draft.Position.Number - settled.AsOf.Number)),
        };
    }

    private static int LinesOf(TableDraft draft) => draft.Plans.Count + draft.Zeros.Count + (draft.Settled?.Again.Count ?? 0);

    private static int BodyBytesMax(TableDraft draft)
    {
        long frames = draft.Plans.Sum(p => (long)p.Length + FrameSealer.TagBytes);
        long index = draft.Index!.PlainBytes + (long)LinesOf(draft) * TableEntry.Bytes;
        return checked((int)(TableIdentity.Bytes + frames + index + FrameSealer.TagBytes + TableFooter.Bytes));
    }

    private int Encode(TableDraft draft, in FramePlan plan, Span<byte> room, out FrameEncoding encoding)
    {
        FramePiece first = draft.Pieces[plan.FirstPiece];
        int level = _levelOf(plan.Export);
        if (plan.Pieces == 1) return Encode(draft.BytesOf(first), level, room, out encoding);

        BufferLease whole = _buffers.Rent(plan.Length);
        try
        {
            int at = 0;
            for (int i = 0; i < plan.Pieces; i++)
            {
                ReadOnlySpan<byte> piece = draft.BytesOf(draft.Pieces[plan.FirstPiece + i]);
                piece.CopyTo(whole.Span[at..]);
                at += piece.Length;
            }

            return Encode(whole.Span, level, room, out encoding);
        }
        finally
        {
            whole.Release();
        }
    }

    private int Encode(ReadOnlySpan<byte> plain, int level, Span<byte> room, out FrameEncoding encoding)
    {
        // A destination no longer than the source: a frame that would not shrink stops the codec early.
        int compressed = level == 0 ? 0 : _codec.TryCompress(plain, room[..plain.Length], level);
        encoding = compressed > 0 ? FrameEncoding.Zstd : FrameEncoding.Raw;
        if (compressed > 0) return compressed;
        plain.CopyTo(room);
        return plain.Length;
    }
}
