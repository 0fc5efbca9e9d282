using System.Buffers.Binary;

namespace ZeroFlow.Perf.Replay;

/// <summary>
/// Makes each sector of a write say which write it is of: export, sector and sequence stand in its head, and the rest
/// follows from them, so that one wrong byte shows.
/// </summary>
/// <param name="export">Differs from export to export and from run to run: an earlier run's data is not ours.</param>
/// <param name="compressRatio">Uncompressed to compressed size.</param>
internal sealed class SectorStamp(ulong export, double compressRatio)
{
    public const int SectorBytes = 512;
    public const long Zeros = 0;
    public const long Foreign = -1;
    public const long Damaged = -2;
    private const int HeadBytes = 32;
    private const ulong Mark = 0x50414c5045525a46;

    // At least the head is unlike any other sector's.
    private readonly int _noisyBytes =
        Math.Clamp((int)(SectorBytes / compressRatio) / 8 * 8, HeadBytes, SectorBytes);

    /// <summary>Fills a write's payload; offset and length are of whole sectors.</summary>
    public void Fill(Span<byte> payload, long offset, long sequence)
    {
        for (var at = 0; at < payload.Length; at += SectorBytes)
            FillSector(payload.Slice(at, SectorBytes), (offset + at) / SectorBytes, sequence);
    }

    /// <summary>
    /// The sequence of the write that a sector is of; <see cref="Zeros"/>; <see cref="Foreign"/> for data that is not
    /// this run's; <see cref="Damaged"/> for this run's data in a wrong place or with wrong bytes.
    /// </summary>
    public long Read(ReadOnlySpan<byte> sector, long number)
    {
        if (BinaryPrimitives.ReadUInt64LittleEndian(sector) != Mark ||
            BinaryPrimitives.ReadUInt64LittleEndian(sector[8..]) != export)
            return sector.ContainsAnyExcept((byte)0) ? Foreign : Zeros;

        var sequence = BinaryPrimitives.ReadInt64LittleEndian(sector[24..]);
        Span<byte> expected = stackalloc byte[SectorBytes];
        FillSector(expected, number, sequence);
        return sequence > 0 && sector.SequenceEqual(expected) ? sequence : Damaged;
    }

    private void FillSector(Span<byte> sector, long number, long sequence)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(sector, Mark);
        BinaryPrimitives.WriteUInt64LittleEndian(sector[8..], export);
        BinaryPrimitives.WriteInt64LittleEndian(sector[16..], number);
        BinaryPrimitives.WriteInt64LittleEndian(sector[24..], sequence);
        var state = ((ulong)sequence * 0x9e3779b97f4a7c15) ^ ((ulong)number << 20) ^ export;
        for (var at = HeadBytes; at < _noisyBytes; at += 8)
        {
            // SplitMix64: every word differs from write to write.
            state += 0x9e3779b97f4a7c15;
            var word = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
            word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
            BinaryPrimitives.WriteUInt64LittleEndian(sector[at..], word ^ (word >> 31));
        }

        sector[_noisyBytes..].Clear();
    }
}
