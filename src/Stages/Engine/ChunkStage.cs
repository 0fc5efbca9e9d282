using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (4) chunk: the cut's live extents, newest wins, merged and split at chunk borders, sorted by export and offset.
/// Copies nothing: a frame is planned as pieces of records.
/// </summary>
internal sealed class ChunkStage
{
    private readonly Func<ExportId, int> _chunkBytesOf;
    private readonly Func<ExportId, ExportId> _familyOf;

    /// <summary>Makes the stage.</summary>
    /// <param name="chunkBytesOf">Gives the chunk size of an export.</param>
    /// <param name="familyOf">Gives the identity that its frames are sealed for.</param>
    public ChunkStage(Func<ExportId, int> chunkBytesOf, Func<ExportId, ExportId> familyOf)
    {
        _chunkBytesOf = chunkBytesOf;
        _familyOf = familyOf;
    }

    public void Run(TableDraft draft)
    {
        // What is settled comes with its frames planned.
        if (draft.Settled is not null) return;
        var exports = new SortedDictionary<uint, ExtentMap<CutExtent>>();
        for (int i = 0; i < draft.Records.Count; i++)
        {
            WalRecordHeader header = draft.Records[i].Header;
            if (header.Kind == WalRecordKind.Catalog || header.Length == 0) continue;
            if (!exports.TryGetValue(header.Export.Value, out ExtentMap<CutExtent>? extents))
                exports[header.Export.Value] = extents = new ExtentMap<CutExtent>();
            int record = header.Kind == WalRecordKind.Zero ? CutExtent.ZeroRecord : i;
            extents.Set(draft.Records[i].Range, new CutExtent(record, 0));
        }

        // At once as large as they get, but for writes across chunks: growing step by step would leave as much behind again.
        int count = exports.Values.Sum(static extents => extents.Count);
        draft.Pieces.EnsureCapacity(count);
        draft.Plans.EnsureCapacity(count);
        foreach (var (id, extents) in exports)
        {
            var export = new ExportId(id);
            new Planner(draft, export, _familyOf(export), _chunkBytesOf(export)).Plan(extents);
        }
    }

    private readonly record struct CutExtent(int Record, long Start) : IExtentValue<CutExtent>
    {
        public const int ZeroRecord = -1;

        public CutExtent Skip(long bytes) => this with { Start = Start + bytes };
    }

    private sealed class Planner(TableDraft draft, ExportId export, ExportId family, int chunkBytes)
    {
        private long _frameStart;
        private long _frameEnd;
        private int _firstPiece = -1;

        public void Plan(ExtentMap<CutExtent> extents)
        {
            foreach (Extent<CutExtent> extent in extents.All())
            {
                if (extent.Value.Record == CutExtent.ZeroRecord) AddZero(extent.Range);
                else AddData(extent);
            }

            EndFrame();
        }

        private void AddZero(BlockRange range)
        {
            EndFrame();
            if (draft.Zeros.Count > 0 && draft.Zeros[^1] is var last && last.Export == export && last.Range.End == range.Offset)
                draft.Zeros[^1] = last with { Length = last.Length + range.Length };
            else
                draft.Zeros.Add(new TableEntry(TableEntryKind.Zero, FrameEncoding.Raw, export, range.Offset, range.Length, 0));
        }

        private void AddData(in Extent<CutExtent> extent)
        {
            long at = extent.Range.Offset;
            while (at < extent.Range.End)
            {
                bool continues = _firstPiece >= 0 && at == _frameEnd && at % chunkBytes != 0;
                if (!continues)
                {
                    EndFrame();
                    _frameStart = at;
                    _firstPiece = draft.Pieces.Count;
                }

                long end = Math.Min(extent.Range.End, (at / chunkBytes + 1) * chunkBytes);
                draft.Pieces.Add(new FramePiece(
                    extent.Value.Record, extent.Value.Start + (at - extent.Range.Offset), (int)(end - at)));
                _frameEnd = end;
                at = end;
            }
        }

        private void EndFrame()
        {
            if (_firstPiece < 0) return;
            draft.Plans.Add(new FramePlan(
                export, family, _frameStart, (int)(_frameEnd - _frameStart), _firstPiece, draft.Pieces.Count - _firstPiece));
            _firstPiece = -1;
        }
    }
}
