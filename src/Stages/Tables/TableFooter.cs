using System.Buffers.Binary;

namespace ZeroFlow.Stages.Tables;

/// <summary>
/// The last 192 bytes of a table: its identity again and where the index lies, so that one read of a table's tail is
/// enough to open it. Written last. All of it is authenticated as associated data of the sealed index.
/// </summary>
internal sealed record TableFooter(
    TableIdentity Identity, long IndexOffset, int IndexSealedBytes, int IndexPlainBytes, int FrameCount,
    bool IndexIsCompressed, long ObjectBytes)
{
    public const int Bytes = 192;

    /// <summary>Leading bytes of the footer that the index seal authenticates: everything but the checksum.</summary>
    public const int AuthenticatedBytes = Bytes - 4;

    private const ulong Magic = 0x3152_5446_574F_4C46; // "FLOWFTR1"

    public void Write(Span<byte> target)
    {
        target = target[..Bytes];
        target.Clear();
        Identity.Write(target);
        BinaryPrimitives.WriteInt64LittleEndian(target[128..], IndexOffset);
        BinaryPrimitives.WriteInt32LittleEndian(target[136..], IndexSealedBytes);
        BinaryPrimitives.WriteInt32LittleEndian(target[140..], IndexPlainBytes);
        BinaryPrimitives.WriteInt32LittleEndian(target[144..], FrameCount);
        target[148] = IndexIsCompressed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt64LittleEndian(target[152..], ObjectBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[176..], Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(target[188..], TableIdentity.Checksum(target[..AuthenticatedBytes]));
    }

    public static ParseResult TryRead(ReadOnlySpan<byte> source, out TableFooter? footer)
    {
        footer = null;
        if (source.Length != Bytes) return ParseResult.Damaged;
        ParseResult identified = TableIdentity.TryRead(source, out TableIdentity? identity);
        if (identified != ParseResult.Ok) return identified;
        if (BinaryPrimitives.ReadUInt64LittleEndian(source[176..]) != Magic ||
            BinaryPrimitives.ReadUInt32LittleEndian(source[188..]) != TableIdentity.Checksum(source[..AuthenticatedBytes]))
            return ParseResult.Damaged;
        footer = new TableFooter(
            identity!,
            BinaryPrimitives.ReadInt64LittleEndian(source[128..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[136..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[140..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[144..]),
            source[148] != 0,
            BinaryPrimitives.ReadInt64LittleEndian(source[152..]));
        return footer.IsPlausible ? ParseResult.Ok : ParseResult.Damaged;
    }

    private bool IsPlausible =>
        IndexOffset >= TableIdentity.Bytes && IndexSealedBytes >= FrameSealer.TagBytes && IndexPlainBytes >= 8 &&
        IndexPlainBytes <= TableIndex.PlainBytesMax && FrameCount >= 0 &&
        IndexOffset + IndexSealedBytes + Bytes == ObjectBytes;
}
