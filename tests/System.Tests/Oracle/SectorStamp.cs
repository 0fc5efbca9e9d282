using System.Buffers.Binary;

namespace ZeroFlow.SystemTests.Oracle;

/// <summary>
/// Fills each 512-byte sector of a write so that it says by itself which write it is of: export, sector and sequence
/// stand in it, and every other byte follows from them. Half of a sector compresses, as real pages do.
/// </summary>
internal static class SectorStamp
{
    public const int Bytes = 512;
    private const ulong Magic = 0x504d4154534f525a;
    private const int Noisy = 256;

    /// <summary>What a sector that was never written, or was zeroed, decodes to.</summary>
    public const long Zero = 0;

    public static void Fill(Span<byte> data, uint export, long offset, long sequence)
    {
        for (var at = 0; at < data.Length; at += Bytes)
        {
            FillSector(data.Slice(at, Bytes), export, (offset + at) / Bytes, sequence);
        }
    }

    /// <summary>
    /// The sequence of the write that a sector is of, <see cref="Zero"/>, or null if it is of no write to there.
    /// </summary>
    public static long? Read(ReadOnlySpan<byte> sector, uint export, long number)
    {
        if (!sector.ContainsAnyExcept((byte)0)) return Zero;
        var sequence = BinaryPrimitives.ReadInt64LittleEndian(sector[24..]);
        Span<byte> expected = stackalloc byte[Bytes];
        FillSector(expected, export, number, sequence);
        return sector.SequenceEqual(expected) && sequence > 0 ? sequence : null;
    }

    /// <summary>What a sector claims to be, for messages.</summary>
    public static string Describe(ReadOnlySpan<byte> sector) =>
        BinaryPrimitives.ReadUInt64LittleEndian(sector) == Magic
            ? $"export {BinaryPrimitives.ReadUInt32LittleEndian(sector[8..])}, "
                + $"sector {BinaryPrimitives.ReadInt64LittleEndian(sector[16..])}, "
                + $"write {BinaryPrimitives.ReadInt64LittleEndian(sector[24..])}"
            : $"no stamp: {Convert.ToHexString(sector[..32])}";

    private static void FillSector(Span<byte> sector, uint export, long number, long sequence)
    {
        sector.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(sector[8..], export);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], number);
        BinaryPrimitives.WriteInt64LittleEndian(sector[24..], sequence);
        var state = (ulong)sequence * 0x9e3779b97f4a7c15 ^ (ulong)number << 20 ^ export;
        for (var at = 32; at < Noisy; at += 8)
        {
            // SplitMix64: every word differs from write to write.
            state += 0x9e3779b97f4a7c15;
            var word = (state ^ state >> 30) * 0xbf58476d1ce4e5b9;
            word = (word ^ word >> 27) * 0x94d049bb133111eb;
            BinaryPrimitives.WriteUInt64LittleEndian(sector[at..], word ^ word >> 31);
        }
    }
}
