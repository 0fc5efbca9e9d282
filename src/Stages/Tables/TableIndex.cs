using System.Buffers.Binary;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tables;

/// <summary>What one line of a table's index says. The values are part of the format.</summary>
internal enum TableEntryKind : byte
{
    /// <summary>A frame of this table holds the range.</summary>
    Frame = 1,

    /// <summary>The range reads as zeros.</summary>
    Zero = 2,

    /// <summary>
    /// A frame of this table holds the range as it was a while ago: whatever tables in between have written is newer.
    /// </summary>
    Settled = 3,

    /// <summary>
    /// A settled range of another map of the same family, which a frame of this table holds: a line before names that
    /// frame. Its sealed length is the frame's number.
    /// </summary>
    SettledAgain = 4,
}

/// <summary>One line of a table's index. Lines of one table do not overlap.</summary>
/// <param name="Kind">What the line says.</param>
/// <param name="Encoding">How the frame is encoded.</param>
/// <param name="Export">The export that the range belongs to.</param>
/// <param name="Offset">First byte of the range.</param>
/// <param name="Length">Bytes of the range.</param>
/// <param name="SealedBytes">Length of the sealed frame.</param>
/// <param name="TablesBack">For a settled line: how many tables before this one it was read.</param>
internal readonly record struct TableEntry(
    TableEntryKind Kind, FrameEncoding Encoding, ExportId Export, long Offset, long Length, int SealedBytes,
    uint TablesBack = 0)
{
    public const int Bytes = 32;

    /// <summary>True when a frame belongs to the line.</summary>
    public bool HasFrame => Kind is TableEntryKind.Frame or TableEntryKind.Settled;

    /// <summary>True when the line names bytes as of an earlier table.</summary>
    public bool IsSettled => Kind is TableEntryKind.Settled or TableEntryKind.SettledAgain;

    public BlockRange Range => new(Offset, Length);
}

/// <summary>A frame of a table: its number, where it lies in the object, and its line of the index.</summary>
internal readonly record struct TableFrame(int Number, long ObjectOffset, TableEntry Entry);

/// <summary>A change of the catalog as a table carries it.</summary>
internal readonly record struct CatalogRecord(Sequence Sequence, byte[] Change);

/// <summary>The decoded index of a table: enough to rebuild the map without reading a frame.</summary>
internal sealed record TableIndex(IReadOnlyList<CatalogRecord> Catalog, IReadOnlyList<TableEntry> Entries)
{
    /// <summary>Largest index that is read: a table of 64 MiB in 512-byte frames needs 4 MiB.</summary>
    public const int PlainBytesMax = 32 * 1024 * 1024;

    public int PlainBytes => 8 + Catalog.Sum(c => 12 + c.Change.Length) + Entries.Count * TableEntry.Bytes;

    /// <summary>Plain bytes of all frames.</summary>
    public long DataBytes => Entries.Sum(static entry => entry.HasFrame ? entry.Length : 0);

    /// <summary>The frames, in the order in which they lie in the object.</summary>
    public IEnumerable<TableFrame> Frames()
    {
        long offset = TableIdentity.Bytes;
        int number = 0;
        foreach (TableEntry entry in Entries)
        {
            if (!entry.HasFrame) continue;
            yield return new TableFrame(number++, offset, entry);
            offset += entry.SealedBytes;
        }
    }

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteInt32LittleEndian(target, Catalog.Count);
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], Entries.Count);
        target = target[8..];
        foreach (CatalogRecord record in Catalog)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target, record.Sequence.Value);
            BinaryPrimitives.WriteInt32LittleEndian(target[8..], record.Change.Length);
            record.Change.CopyTo(target[12..]);
            target = target[(12 + record.Change.Length)..];
        }

        foreach (TableEntry entry in Entries)
        {
            target[..TableEntry.Bytes].Clear();
            target[0] = (byte)entry.Kind;
            target[1] = (byte)entry.Encoding;
            BinaryPrimitives.WriteUInt32LittleEndian(target[4..], entry.Export.Value);
            BinaryPrimitives.WriteInt64LittleEndian(target[8..], entry.Offset);
            BinaryPrimitives.WriteInt64LittleEndian(target[16..], entry.Length);
            BinaryPrimitives.WriteInt32LittleEndian(target[24..], entry.SealedBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(target[28..], entry.TablesBack);
            target = target[TableEntry.Bytes..];
        }
    }

    /// <summary>Reads an authenticated index; false when it contradicts itself, which only a bug of a writer can cause.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out TableIndex index)
    {
        index = new TableIndex([], []);
        int catalogCount = BinaryPrimitives.ReadInt32LittleEndian(source);
        int entryCount = BinaryPrimitives.ReadInt32LittleEndian(source[4..]);
        source = source[8..];
        var catalog = new List<CatalogRecord>();
        for (int i = 0; i < catalogCount; i++)
        {
            if (source.Length < 12) return false;
            int length = BinaryPrimitives.ReadInt32LittleEndian(source[8..]);
            if (length < 0 || length > source.Length - 12) return false;
            var sequence = new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source));
            catalog.Add(new CatalogRecord(sequence, source.Slice(12, length).ToArray()));
            source = source[(12 + length)..];
        }

        if (entryCount < 0 || source.Length != (long)entryCount * TableEntry.Bytes) return false;
        var entries = new TableEntry[entryCount];
        for (int i = 0; i < entryCount; i++)
        {
            entries[i] = new TableEntry(
                (TableEntryKind)source[0],
                (FrameEncoding)source[1],
                new ExportId(BinaryPrimitives.ReadUInt32LittleEndian(source[4..])),
                BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
                BinaryPrimitives.ReadInt64LittleEndian(source[16..]),
                BinaryPrimitives.ReadInt32LittleEndian(source[24..]),
                BinaryPrimitives.ReadUInt32LittleEndian(source[28..]));
            source = source[TableEntry.Bytes..];
        }

        index = new TableIndex(catalog, entries);
        return true;
    }
}
