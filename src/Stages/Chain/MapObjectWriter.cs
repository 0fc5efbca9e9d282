using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// An object with pages of the map in the making: an identity, then compressed and sealed pages. It needs no index: the
/// checkpoint that names the object says where each page is. Not thread-safe.
/// </summary>
internal sealed class MapObjectWriter : IDisposable
{
    // One PUT in tens of milliseconds, and little memory.
    private const int TargetBytes = 4 * 1024 * 1024;

    private readonly TableIdentity _identity;
    private readonly byte[] _key;
    private readonly IChunkCodec _codec;
    private readonly FrameSealer _sealer;
    private readonly BufferLease _body;
    private readonly List<(FoldedPage Page, int Offset, int SealedBytes, FrameEncoding Encoding, int PlainBytes)> _pages = [];
    private bool _isDisposed;

    /// <param name="identity">Who writes it and under which number.</param>
    /// <param name="key">The object's own key.</param>
    /// <param name="codec">Compresses pages.</param>
    /// <param name="buffers">Lends the object's bytes.</param>
    /// <param name="firstPageBytes">Plain bytes of the first page, which always has room.</param>
    public MapObjectWriter(TableIdentity identity, byte[] key, IChunkCodec codec, BufferPool buffers, int firstPageBytes)
    {
        _identity = identity;
        _key = key;
        _codec = codec;
        _sealer = new FrameSealer(key, identity.StoreId, identity.Epoch, identity.Number);
        _body = buffers.Rent(Math.Max(TargetBytes, TableIdentity.Bytes + firstPageBytes + FrameSealer.TagBytes));
        identity.Write(_body.Span);
        ObjectBytes = TableIdentity.Bytes;
    }

    public int ObjectBytes { get; private set; }

    /// <summary>Plain bytes of all pages.</summary>
    public long PlainBytes { get; private set; }

    /// <summary>The object so far, borrowed until the writer is disposed.</summary>
    public ReadOnlyMemory<byte> Object => _body.Memory[..ObjectBytes];

    public bool HasRoomFor(int pageBytes) =>
        !_isDisposed && _body.Length - ObjectBytes >= pageBytes + FrameSealer.TagBytes;

    /// <summary>Adds the new page of a slot. It stays in memory if the older version was there.</summary>
    public void Add(SlotBase slot, ReadOnlySpan<MapPiece> pieces, PageShape shape)
    {
        ReadOnlySpan<byte> plain = MapPage.Encode(pieces);
        MapPage? resident = slot.Stored?.Resident is null ? null : new MapPage(pieces.ToArray());
        Span<byte> room = _body.Span[ObjectBytes..];
        int encoded = _codec.TryCompress(plain, room[..plain.Length], 1);
        FrameEncoding encoding = encoded > 0 ? FrameEncoding.Zstd : FrameEncoding.Raw;
        if (encoded == 0)
        {
            plain.CopyTo(room);
            encoded = plain.Length;
        }

        int sealedBytes = encoded + FrameSealer.TagBytes;
        var entry = new TableEntry(TableEntryKind.Frame, encoding, slot.Family.Id, slot.Start, plain.Length, sealedBytes);
        _sealer.Seal(_pages.Count, entry, room[..sealedBytes]);
        _pages.Add((new FoldedPage(slot, default, resident, shape), ObjectBytes, sealedBytes, encoding, plain.Length));
        ObjectBytes += sealedBytes;
        PlainBytes += plain.Length;
    }

    /// <summary>The pages with their places, once the object has its ordinal.</summary>
    public IEnumerable<FoldedPage> PagesIn(int ordinal)
    {
        for (int frame = 0; frame < _pages.Count; frame++)
        {
            var (page, offset, sealedBytes, encoding, plainBytes) = _pages[frame];
            yield return page with { Place = new Fragment(ordinal, frame, offset, sealedBytes, encoding, plainBytes, 0) };
        }
    }

    public TableInfo ToTableInfo() => new()
    {
        Kind = ChainObjectKind.MapPages,
        Epoch = _identity.Epoch,
        Number = _identity.Number,
        Salt = _identity.Salt,
        Key = _key,
        ObjectBytes = ObjectBytes,
        FirstSequence = _identity.FirstSequence,
        LastSequence = _identity.LastSequence,
        ObjectKey = ChainNames.MapPages(new ChainPosition(_identity.Epoch, _identity.Number)),
        PlainBytes = PlainBytes,
    };

    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _sealer.Dispose();
        _body.Release();
    }
}
