using System.Buffers.Binary;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// Marks every 4 KiB of a payload with its own offset, so that a read shows data that is missing or from elsewhere. It
/// does not show stale data: that needs a model of the device, which the system tests have.
/// </summary>
internal static class BlockStamp
{
    private const ulong Mark = 0x5a45524f464c4f57;

    public static void Write(Span<byte> payload, long offset)
    {
        for (var at = 0; at < payload.Length; at += PayloadPool.PieceBytes)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(payload[at..], Mark);
            BinaryPrimitives.WriteInt64LittleEndian(payload[(at + 8)..], offset + at);
        }
    }

    /// <summary>The offset of the first piece whose stamp is wrong, or -1 when all are right.</summary>
    public static long FindWrong(ReadOnlySpan<byte> payload, long offset)
    {
        for (var at = 0; at < payload.Length; at += PayloadPool.PieceBytes)
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(payload[at..]) != Mark ||
                BinaryPrimitives.ReadInt64LittleEndian(payload[(at + 8)..]) != offset + at)
                return offset + at;
        }

        return -1;
    }
}
