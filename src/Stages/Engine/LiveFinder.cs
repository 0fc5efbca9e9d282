using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>A range that a table wrote, by the table's own index.</summary>
internal readonly record struct WrittenRange(int Ordinal, ExportId Export, BlockRange Range);

/// <summary>A part of a frame that is still found, and the maps that find it: one for each slot that has it.</summary>
internal readonly record struct LivePiece(ExportId Family, ExportId[] Maps, BlockRange Range, FrameRef Frame, int ChunkBytes);

/// <summary>
/// Finds what of the written ranges the maps still name: in the export, its snapshots and its clones. One object, one
/// search.
/// </summary>
internal sealed class LiveFinder(StoreState state)
{
    private const int AnyTable = 0;

    private readonly List<LivePiece> _pieces = [];
    private readonly List<CommittedHit> _hits = [];

    /// <summary>The pieces, sorted by family, by the maps that have them, and by offset.</summary>
    public async Task<List<LivePiece>> FindAsync(List<WrittenRange> written, CancellationToken cancellation)
    {
        // Of an export that is gone it is not known whose relative it was: it is looked for everywhere.
        ILookup<MapFamily?, WrittenRange> byFamily = written.ToLookup(entry => state.Find(entry.Export)?.Map.Family);
        foreach (IGrouping<MapFamily, CommittedExport> family in state.Exports.GroupBy(static export => export.Map.Family))
        {
            IEnumerable<WrittenRange> own = byFamily[family.Key].Concat(byFamily[null]);
            int first = _pieces.Count;
            CommittedExport[] members = [.. family];
            foreach (IGrouping<long, WrittenRange> page in own.GroupBy(static entry => entry.Range.Offset / MapPage.Span).OrderBy(static page => page.Key))
                await FindInPageAsync(members, page.Key, [.. page], cancellation);
            _pieces.Sort(first, _pieces.Count - first, Order);
        }

        return _pieces;
    }

    /// <summary>Everything in the given pages, page by page; within a page sorted in the same way.</summary>
    public async Task<List<LivePiece>> FindAsync(IReadOnlyList<PageOfFamily> pages, CancellationToken cancellation)
    {
        ILookup<MapFamily, CommittedExport> byFamily = state.Exports.ToLookup(static export => export.Map.Family);
        foreach (PageOfFamily page in pages)
        {
            int first = _pieces.Count;
            var whole = new WrittenRange(AnyTable, default, new BlockRange(page.Page * MapPage.Span, MapPage.Span));
            await FindInPageAsync([.. byFamily[page.Family]], page.Page, [whole], cancellation);
            _pieces.Sort(first, _pieces.Count - first, Order);
        }

        return _pieces;
    }

    private static readonly Comparer<LivePiece> Order = Comparer<LivePiece>.Create(static (a, b) =>
    {
        int byMaps = a.Maps.Length.CompareTo(b.Maps.Length);
        for (int i = 0; byMaps == 0 && i < a.Maps.Length; i++) byMaps = a.Maps[i].Value.CompareTo(b.Maps[i].Value);
        return byMaps != 0 ? byMaps : a.Range.Offset.CompareTo(b.Range.Offset);
    });

    private async Task FindInPageAsync(
        CommittedExport[] members, long page, WrittenRange[] written, CancellationToken cancellation)
    {
        // Maps that share a slot are changed together: one of them speaks for all.
        CommittedExport[] speakers = [.. members.Where(member => member.Map.SlotOf(page) is not null).DistinctBy(member => member.Map.SlotOf(page))];
        var found = new List<(CommittedExport By, BlockRange Range, FrameRef Frame)>();
        foreach (CommittedExport speaker in speakers)
        {
            var cursor = new MapCursor();
            foreach (WrittenRange entry in written)
            {
                BlockRange range = entry.Range.Intersect(new BlockRange(0, speaker.Info.SizeBytes));
                if (range.IsEmpty) continue;
                _hits.Clear();
                await speaker.Map.CollectAsync(range, _hits, cursor, cancellation);
                foreach (CommittedHit hit in _hits)
                {
                    if (hit.Frame is { } frame && (entry.Ordinal == AnyTable || frame.Key.Table == entry.Ordinal)) found.Add((speaker, hit.Range, frame));
                }
            }
        }

        foreach (var frame in found.GroupBy(static piece => piece.Frame.Key)) Divide([.. frame]);
    }

    // Where maps have different parts of one frame, the parts end wherever one of them does.
    private void Divide(List<(CommittedExport By, BlockRange Range, FrameRef Frame)> found)
    {
        if (found is [var (by, range, whole)])
        {
            // Nearly every frame, when there are no snapshots and what was overwritten was so as a whole.
            _pieces.Add(new LivePiece(by.Map.Family.Id, [by.Info.Id], range, whole, by.Info.ChunkBytes));
            return;
        }

        long[] ends = [.. found.SelectMany(static piece => (long[])[piece.Range.Offset, piece.Range.End]).Distinct().Order()];
        for (int i = 0; i + 1 < ends.Length; i++)
        {
            var part = BlockRange.Between(ends[i], ends[i + 1]);
            ExportId[] maps = [.. found.Where(piece => piece.Range.Contains(part)).Select(static piece => piece.By.Info.Id).Distinct()];
            if (maps.Length > 0) _pieces.Add(new LivePiece(found[0].By.Map.Family.Id, maps, part, found[0].Frame, found[0].By.Info.ChunkBytes));
        }
    }
}
