using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>What reading all data of a page takes.</summary>
/// <param name="Gets">Ranged GETs of a scan that reads <see cref="ScanBytes"/> at a time, with nothing cached.</param>
/// <param name="Bytes">Bytes of data.</param>
internal readonly record struct PageShape(int Gets, long Bytes)
{
    /// <summary>What a scan has under way at a time, about.</summary>
    public const int ScanBytes = 1024 * 1024;
}

/// <summary>A new version of a page: where it is, and what it says if it was in memory before.</summary>
internal readonly record struct FoldedPage(SlotBase Slot, Fragment Place, MapPage? Resident, PageShape Shape);

/// <summary>What folding a frozen state has made.</summary>
/// <param name="Pages">The new pages, whose objects are in the bucket.</param>
/// <param name="Live">By how much the live bytes of each object change once the pages count.</param>
/// <param name="Objects">Ordinals of the new objects.</param>
/// <param name="Bytes">Bytes of the new objects.</param>
internal sealed record FoldedMap(
    IReadOnlyList<FoldedPage> Pages, IReadOnlyDictionary<int, long> Live, IReadOnlySet<int> Objects, long Bytes);

/// <summary>
/// Lays frozen changes over the stored pages below them, one page at a time, and puts the new pages into the bucket. The
/// committed map is not touched: what comes out counts once a checkpoint names it.
/// </summary>
/// <remarks>Used by one loop at a time. Its memory is one object in the making and one page.</remarks>
internal sealed class MapFolder
{
    // A page object with less than this share alive has the rest of its pages moved, so that it can go.
    private const double LiveShareMin = 0.5;

    // What one checkpoint moves at most for that reason alone.
    private const long MovedBytesMax = 16L * 1024 * 1024;

    // Released pages that are in memory at once: a few MiB, in few requests.
    private const int PagesReadAtOnce = 256;

    private static readonly FrameReaderOptions s_reading = new();

    private readonly TableRegistry _tables;
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;
    private readonly IObjectStore _objects;
    private readonly IEntropy _entropy;
    private readonly TimeProvider _time;
    private readonly BufferPool _buffers;
    private readonly FrameDiskCache? _diskCache;
    private readonly List<MapPiece> _pieces = [];
    private readonly List<FrameRef> _frames = [];
    private ulong _lastNumber;

    public MapFolder(
        TableRegistry tables, StoreKeys keys, IChunkCodec codec, IObjectStore objects, IEntropy entropy,
        TimeProvider time, BufferPool buffers, FrameDiskCache? diskCache)
    {
        _tables = tables;
        _keys = keys;
        _codec = codec;
        _objects = objects;
        _entropy = entropy;
        _time = time;
        _buffers = buffers;
        _diskCache = diskCache;
    }

    public async Task<FoldedMap> FoldAsync(FrozenState state, CancellationToken cancellation)
    {
        var pages = new List<FoldedPage>();
        var live = new Dictionary<int, long>();
        var objects = new HashSet<int>();
        var discounted = new HashSet<StoredPage>();
        long bytes = 0;
        MapObjectWriter? writer = null;
        try
        {
            await DiscountAsync(state.Released, live, cancellation);
            foreach (SlotBase slot in state.Due)
            {
                bool isLast = slot.Stored is { } stored && state.Replaced.Contains(stored) && discounted.Add(stored);
                await FoldAsync(slot, isLast, live, cancellation);
                if (_pieces.Count == 0)
                {
                    pages.Add(new FoldedPage(slot, default, null, default));
                    continue;
                }

                int plainBytes = _pieces.Count * MapPiece.Bytes;
                if (writer is not null && !writer.HasRoomFor(plainBytes)) bytes += await EndObjectAsync(writer);
                if (writer?.HasRoomFor(plainBytes) != true) writer = NewObject(state, plainBytes);
                writer.Add(slot, CollectionsMarshal.AsSpan(_pieces), Measure());
            }

            if (writer is not null) bytes += await EndObjectAsync(writer);
        }
        finally
        {
            writer?.Dispose();
        }

        return new FoldedMap(pages, live, objects, bytes);

        async Task<long> EndObjectAsync(MapObjectWriter full)
        {
            int ordinal = await StoreAsync(full, pages, cancellation);
            objects.Add(ordinal);
            Add(live, ordinal, full.PlainBytes);
            return full.ObjectBytes;
        }
    }

    /// <summary>Objects so sparse that their pages are to be stored anew, with the next checkpoint.</summary>
    public HashSet<int> SparseObjects()
    {
        var sparse = new HashSet<int>();
        long moved = 0;
        foreach (var (ordinal, table) in _tables.All())
        {
            if (table.Kind != ChainObjectKind.MapPages || table.LiveBytes == 0) continue;
            if (table.LiveBytes >= table.PlainBytes * LiveShareMin || moved + table.LiveBytes > MovedBytesMax) continue;
            moved += table.LiveBytes;
            sparse.Add(ordinal);
        }

        return sparse;
    }

    // Leaves the pieces of the new page in the folder's list. The old page no longer counts when nobody else has it.
    private async Task FoldAsync(SlotBase slot, bool isLast, Dictionary<int, long> live, CancellationToken cancellation)
    {
        // Looked at once: the cache may drop it at any moment.
        StoredPage? stored = slot.Stored;
        MapPage? resident = stored?.Resident;
        BufferLease? lease = stored is not null && resident is null
            ? await slot.Family.Pages.ReadAsync(stored, cancellation)
            : null;
        try
        {
            ReadOnlySpan<MapPiece> below = lease is not null ? MapPages.PiecesOf(lease, stored!) : resident is not null ? resident.Pieces : [];
            MapPage.Fold(slot.IsFrozenCleared ? [] : below, slot.Frozen, slot.Start, _pieces);
            if (isLast) Discount(live, stored!, below);
            Count(live, CollectionsMarshal.AsSpan(_pieces), 1);
        }
        finally
        {
            lease?.Release();
        }
    }

    // How a scan would fetch the pieces of the page that was folded last.
    private PageShape Measure()
    {
        long bytes = 0;
        int gets = 0;
        uint end = 0;
        _frames.Clear();
        foreach (ref readonly MapPiece piece in CollectionsMarshal.AsSpan(_pieces))
        {
            if (piece.Start >= end)
            {
                gets += CountGets();
                end = (piece.Start / PageShape.ScanBytes + 1) * PageShape.ScanBytes;
            }

            bytes += piece.Length;
            _frames.Add(piece.Fragment.ToFrame(default, 0));
        }

        return new PageShape(gets + CountGets(), bytes);
    }

    private int CountGets()
    {
        _frames.Sort(static (a, b) => FrameRuns.Compare(a, b));
        int gets = FrameRuns.Count(CollectionsMarshal.AsSpan(_frames), s_reading.GapBytesMax, s_reading.RunBytesMax);
        _frames.Clear();
        return gets;
    }

    private static async Task DiscountAsync(
        IReadOnlyList<StoredPage> released, Dictionary<int, long> live, CancellationToken cancellation)
    {
        foreach (StoredPage[] batch in released.Chunk(PagesReadAtOnce))
        {
            BufferLease?[] leases = await batch[0].Family.Pages.ReadManyAsync(batch, cancellation);
            for (int i = 0; i < batch.Length; i++)
            {
                Discount(live, batch[i], MapPages.PiecesOf(leases[i]!, batch[i]));
                leases[i]!.Release();
            }
        }
    }

    private static void Discount(Dictionary<int, long> live, StoredPage page, ReadOnlySpan<MapPiece> pieces)
    {
        Add(live, page.Place.Table, -page.Place.PlainBytes);
        Count(live, pieces, -1);
    }

    private MapObjectWriter NewObject(FrozenState state, int firstPageBytes)
    {
        byte[] salt = new byte[TableIdentity.SaltBytes];
        _entropy.Fill(salt);
        var identity = new TableIdentity
        {
            Kind = ChainObjectKind.MapPages,
            StoreId = _keys.StoreId,
            Session = state.Session,
            Salt = salt,
            Epoch = state.Position.Epoch,
            Number = ++_lastNumber,
            FirstSequence = state.LastSequence.Next,
            LastSequence = state.LastSequence,
            CreatedUnixMs = _time.GetUtcNow().ToUnixTimeMilliseconds(),
        };
        return new MapObjectWriter(identity, _keys.TableKey(salt), _codec, _buffers, firstPageBytes);
    }

    private async Task<int> StoreAsync(MapObjectWriter writer, List<FoldedPage> pages, CancellationToken cancellation)
    {
        using (writer)
        {
            // A name that exists is this writer's own, from an attempt whose reply was lost: numbers are never reused.
            TableInfo info = writer.ToTableInfo();
            await _objects.TryCreateAsync(info.ObjectKey, writer.Object, cancellation);
            int ordinal = _tables.Add(info);
            foreach (FoldedPage page in writer.PagesIn(ordinal))
            {
                _diskCache?.Insert(
                    new FrameKey(ordinal, page.Place.Frame),
                    writer.Object.Span.Slice((int)page.Place.ObjectOffset, page.Place.SealedBytes));
                pages.Add(page);
            }

            return ordinal;
        }
    }

    private static void Count(Dictionary<int, long> live, ReadOnlySpan<MapPiece> pieces, int sign)
    {
        foreach (ref readonly MapPiece piece in pieces) Add(live, piece.Fragment.Table, sign * (long)piece.Length);
    }

    private static void Add(Dictionary<int, long> live, int ordinal, long bytes) =>
        CollectionsMarshal.GetValueRefOrAddDefault(live, ordinal, out _) += bytes;
}
