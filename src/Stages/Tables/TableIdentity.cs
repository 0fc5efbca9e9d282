using System.Buffers.Binary;
using System.Numerics;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Tables;

/// <summary>What an object of the chain is. The values are part of the format.</summary>
internal enum ChainObjectKind : ushort
{
    /// <summary>Frames with an index.</summary>
    Table = 1,

    /// <summary>The end of an epoch.</summary>
    Seal = 2,

    /// <summary>The map as of a table.</summary>
    Checkpoint = 3,

    /// <summary>Pages of the map, which checkpoints name.</summary>
    MapPages = 4,
}

/// <summary>
/// The 128 bytes that begin every object of the chain, and are repeated in a table's footer: who wrote it, and which
/// place in the one order it takes. Layout: docs/formats.md.
/// </summary>
internal sealed record TableIdentity
{
    public const int Bytes = 128;
    public const int SaltBytes = 32;
    public const ushort VersionNow = 1;

    private const ulong Magic = 0x314E_4843_574F_4C46; // "FLOWCHN1"

    public required ChainObjectKind Kind { get; init; }

    public required Guid StoreId { get; init; }

    /// <summary>The random identity of the writer's term; for a seal, of the writer that takes over.</summary>
    public required Guid Session { get; init; }

    public required byte[] Salt { get; init; }

    public required uint Epoch { get; init; }

    public required ulong Number { get; init; }

    /// <summary>First sequence in the table; with <see cref="LastSequence"/> one less, the table holds none.</summary>
    public required Sequence FirstSequence { get; init; }

    public required Sequence LastSequence { get; init; }

    public required long CreatedUnixMs { get; init; }

    public void Write(Span<byte> target)
    {
        target = target[..Bytes];
        target.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], VersionNow);
        BinaryPrimitives.WriteUInt16LittleEndian(target[10..], (ushort)Kind);
        StoreId.TryWriteBytes(target[16..]);
        Session.TryWriteBytes(target[32..]);
        Salt.CopyTo(target[48..]);
        BinaryPrimitives.WriteUInt32LittleEndian(target[80..], Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[88..], Number);
        BinaryPrimitives.WriteUInt64LittleEndian(target[96..], FirstSequence.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[104..], LastSequence.Value);
        BinaryPrimitives.WriteInt64LittleEndian(target[112..], CreatedUnixMs);
        BinaryPrimitives.WriteUInt32LittleEndian(target[124..], Checksum(target[..124]));
    }

    /// <summary>
    /// Reads an identity. It is not trusted yet: the seal over the index, or the MAC of a seal, authenticates it.
    /// </summary>
    public static ParseResult TryRead(ReadOnlySpan<byte> source, out TableIdentity? identity)
    {
        identity = null;
        if (source.Length < Bytes || BinaryPrimitives.ReadUInt64LittleEndian(source) != Magic) return ParseResult.Foreign;
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(source[8..]);
        if (version > VersionNow) return ParseResult.Newer;
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[124..]) != Checksum(source[..124])) return ParseResult.Damaged;
        identity = new TableIdentity
        {
            Kind = (ChainObjectKind)BinaryPrimitives.ReadUInt16LittleEndian(source[10..]),
            StoreId = new Guid(source[16..32]),
            Session = new Guid(source[32..48]),
            Salt = source.Slice(48, SaltBytes).ToArray(),
            Epoch = BinaryPrimitives.ReadUInt32LittleEndian(source[80..]),
            Number = BinaryPrimitives.ReadUInt64LittleEndian(source[88..]),
            FirstSequence = new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[96..])),
            LastSequence = new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[104..])),
            CreatedUnixMs = BinaryPrimitives.ReadInt64LittleEndian(source[112..]),
        };
        return ParseResult.Ok;
    }

    internal static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (byte b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}

/// <summary>How reading a structure went.</summary>
internal enum ParseResult
{
    Ok,

    /// <summary>Not one of ours.</summary>
    Foreign,

    /// <summary>Ours, of a version that this program does not know.</summary>
    Newer,

    /// <summary>Ours, but altered or cut short.</summary>
    Damaged,
}
