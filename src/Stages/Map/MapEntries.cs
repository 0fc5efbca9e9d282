using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Map;

/// <summary>Where a whole chunk is: 16 bytes, so that a fully written TiB of 128 KiB chunks is a map of 128 MiB.</summary>
internal readonly struct ChunkEntry
{
    private readonly uint _objectOffset;

    // Sealed length in the low 28 bits, encoding in the high 4: frames are at most 1 MiB and a tag.
    private readonly uint _lengthAndEncoding;

    public ChunkEntry(int table, int frame, long objectOffset, int sealedBytes, FrameEncoding encoding)
    {
        Table = table;
        Frame = frame;
        _objectOffset = checked((uint)objectOffset);
        _lengthAndEncoding = (uint)sealedBytes | ((uint)encoding << 28);
    }

    /// <summary>Ordinal of the table; zero for a chunk that was never written.</summary>
    public int Table { get; }

    public int Frame { get; }

    public bool IsHole => Table == 0;

    public long ObjectOffset => _objectOffset;

    public int SealedBytes => (int)(_lengthAndEncoding & 0x0FFF_FFFF);

    public FrameEncoding Encoding => (FrameEncoding)(_lengthAndEncoding >> 28);

    public FrameRef ToFrame(ExportId export, BlockRange chunk) =>
        new(new FrameKey(Table, Frame), ObjectOffset, SealedBytes, Encoding, export, chunk.Offset, (int)chunk.Length);
}

/// <summary>Where a range above the chunks is: a part of a frame, from its byte <see cref="Skipped"/> on, or zeros.</summary>
internal readonly struct Fragment : IExtentValue<Fragment>
{
    private readonly uint _objectOffset;
    private readonly uint _lengthAndEncoding;

    public Fragment(
        int table, int frame, long objectOffset, int sealedBytes, FrameEncoding encoding, int plainBytes, int skipped)
        : this(table, frame, checked((uint)objectOffset), (uint)sealedBytes | ((uint)encoding << 28), plainBytes, skipped)
    {
    }

    private Fragment(int table, int frame, uint objectOffset, uint lengthAndEncoding, int plainBytes, int skipped)
    {
        Table = table;
        Frame = frame;
        _objectOffset = objectOffset;
        _lengthAndEncoding = lengthAndEncoding;
        PlainBytes = plainBytes;
        Skipped = skipped;
    }

    public static Fragment Zero => default;

    /// <summary>Ordinal of the table; zero for zeros.</summary>
    public int Table { get; }

    public int Frame { get; }

    /// <summary>Bytes of the whole frame.</summary>
    public int PlainBytes { get; }

    /// <summary>Bytes of the frame that lie before the range.</summary>
    public int Skipped { get; }

    public bool IsZero => Table == 0;

    public long ObjectOffset => _objectOffset;

    public int SealedBytes => (int)(_lengthAndEncoding & 0x0FFF_FFFF);

    public FrameEncoding Encoding => (FrameEncoding)(_lengthAndEncoding >> 28);

    public Fragment Skip(long bytes) => IsZero
        ? this
        : new Fragment(Table, Frame, _objectOffset, _lengthAndEncoding, PlainBytes, Skipped + (int)bytes);

    public FrameRef ToFrame(ExportId export, long rangeOffset) =>
        new(new FrameKey(Table, Frame), ObjectOffset, SealedBytes, Encoding, export, rangeOffset - Skipped, PlainBytes);
}
