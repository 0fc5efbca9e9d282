using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Map;

/// <summary>One line of a page: where a range within it is. 32 bytes, little-endian, as docs/formats.md lays them out.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct MapPiece(uint Start, uint Length, Fragment Fragment)
{
    public const int Bytes = 8 + Fragment.Bytes;

    public uint End => Start + Length;
}

/// <summary>
/// What the chain says about <see cref="Span"/> bytes of one export as of a checkpoint: pieces of frames, sorted,
/// without overlap; what lies between them is a hole. Immutable, so it is shared without locks.
/// </summary>
internal sealed class MapPage
{
    /// <summary>Bytes of an export that one page describes: a multiple of every chunk size.</summary>
    public const long Span = 16 * 1024 * 1024;

    /// <summary>What a page costs in memory beside its pieces.</summary>
    private const int OverheadBytes = 128;

    private readonly MapPiece[] _pieces;

    public MapPage(MapPiece[] pieces) => _pieces = pieces;

    public ReadOnlySpan<MapPiece> Pieces => _pieces;

    public long MemoryBytes => Encode(_pieces).Length + OverheadBytes;

    /// <summary>The encoded page, before compression and sealing: the pieces as they lie in memory.</summary>
    public static ReadOnlySpan<byte> Encode(ReadOnlySpan<MapPiece> pieces) => MemoryMarshal.AsBytes(pieces);

    /// <summary>
    /// Reads an authenticated page in place. False when it contradicts itself, which only a bug of a writer can cause.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> plain, out ReadOnlySpan<MapPiece> pieces)
    {
        pieces = default;
        if (plain.Length % MapPiece.Bytes != 0) return false;
        ReadOnlySpan<MapPiece> found = MemoryMarshal.Cast<byte, MapPiece>(plain);
        long end = 0;
        foreach (ref readonly MapPiece piece in found)
        {
            if (piece.Start < end || piece.Length == 0 || piece.Fragment.Table <= 0 || piece.Fragment.IsZero) return false;
            end = (long)piece.Start + piece.Length;
        }

        if (end > Span) return false;
        pieces = found;
        return true;
    }

    /// <summary>
    /// Lays <paramref name="changes"/>, whose ranges are offsets in the export, over the pieces of an older page. Zeros
    /// become holes.
    /// </summary>
    /// <param name="below">The older page's pieces.</param>
    /// <param name="changes">Newer extents, or null for none.</param>
    /// <param name="pageStart">First byte of the page in the export.</param>
    /// <param name="folded">Gets the pieces of the new page; what it held before is dropped.</param>
    public static void Fold(
        ReadOnlySpan<MapPiece> below, ExtentMap<Fragment>? changes, long pageStart, List<MapPiece> folded)
    {
        folded.Clear();
        int next = 0;
        long at = 0;
        foreach (Extent<Fragment> change in changes?.All() ?? [])
        {
            long start = change.Range.Offset - pageStart;
            AddBetween(folded, below, ref next, at, start);
            if (!change.Value.IsZero) folded.Add(new MapPiece((uint)start, (uint)change.Range.Length, change.Value));
            at = start + change.Range.Length;
        }

        AddBetween(folded, below, ref next, at, Span);
    }

    /// <summary>Appends what covers <paramref name="range"/>, in order and without gaps, holes included.</summary>
    public void Collect(ExportId export, long pageStart, BlockRange range, List<CommittedHit> hits)
    {
        uint from = (uint)(range.Offset - pageStart), to = (uint)(range.End - pageStart);
        uint at = from;
        for (int i = FirstEndingAfter(from); i < _pieces.Length && _pieces[i].Start < to; i++)
        {
            ref readonly MapPiece piece = ref _pieces[i];
            uint start = Math.Max(piece.Start, at), end = Math.Min(piece.End, to);
            if (start > at) hits.Add(new CommittedHit(new BlockRange(pageStart + at, start - at), null));
            hits.Add(new CommittedHit(
                new BlockRange(pageStart + start, end - start), piece.Fragment.ToFrame(export, pageStart + piece.Start)));
            at = end;
        }

        if (at < to) hits.Add(new CommittedHit(new BlockRange(pageStart + at, to - at), null));
    }

    private int FirstEndingAfter(uint offset)
    {
        int low = 0, high = _pieces.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_pieces[middle].End > offset) high = middle;
            else low = middle + 1;
        }

        return low;
    }

    // Appends the parts of old pieces within [from, to). The cursor stays at a piece that reaches beyond the end.
    private static void AddBetween(List<MapPiece> pieces, ReadOnlySpan<MapPiece> old, ref int next, long from, long to)
    {
        while (next < old.Length && old[next].Start < to)
        {
            MapPiece piece = old[next];
            long start = Math.Max(piece.Start, from), end = Math.Min(piece.End, to);
            if (start < end)
                pieces.Add(new MapPiece((uint)start, (uint)(end - start), piece.Fragment.Skip(start - piece.Start)));
            if (piece.End > to) return;
            next++;
        }
    }
}
