using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Map;

/// <summary>
/// Where a range is: a part of a frame, from its byte <see cref="Skipped"/> on, or zeros. 24 bytes, which stand in the
/// pages of the map as they lie in memory.
/// </summary>
internal readonly record struct Fragment : IExtentValue<Fragment>
{
    public const int Bytes = 24;

    private readonly uint _objectOffset;

    // Sealed length in the low 28 bits, encoding in the high 4.
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

    /// <summary>Ordinal of the table that says so; zero for nothing at all.</summary>
    public int Table { get; }

    public int Frame { get; }

    /// <summary>Bytes of the whole frame; zero for zeros.</summary>
    public int PlainBytes { get; }

    /// <summary>Bytes of the frame that lie before the range.</summary>
    public int Skipped { get; }

    public bool IsZero => PlainBytes == 0;

    public long ObjectOffset => _objectOffset;

    public int SealedBytes => (int)(_lengthAndEncoding & 0x0FFF_FFFF);

    public FrameEncoding Encoding => (FrameEncoding)(_lengthAndEncoding >> 28);

    /// <summary>Zeros that <paramref name="table"/> put there.</summary>
    public static Fragment ZeroBy(int table) => new(table, 0, 0u, 0u, 0, 0);

    public Fragment Skip(long bytes) => IsZero
        ? this
        : new Fragment(Table, Frame, _objectOffset, _lengthAndEncoding, PlainBytes, Skipped + (int)bytes);

    public FrameRef ToFrame(ExportId export, long rangeOffset) =>
        new(new FrameKey(Table, Frame), ObjectOffset, SealedBytes, Encoding, export, rangeOffset - Skipped, PlainBytes);
}
