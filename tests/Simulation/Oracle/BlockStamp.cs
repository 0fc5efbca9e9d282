using System.Buffers.Binary;

namespace ZeroFlow.Simulation.Oracle;

/// <summary>A block's content: one stamp, over and over, so that a mixed block shows. Zeros are the stamp 0.</summary>
internal static class BlockStamp
{
    public const int BlockBytes = 4096;

    public static void Fill(Span<byte> block, ulong stamp)
    {
        for (int at = 0; at < block.Length; at += sizeof(ulong)) BinaryPrimitives.WriteUInt64LittleEndian(block[at..], stamp);
    }

    public static ulong Read(ReadOnlySpan<byte> block)
    {
        ulong stamp = BinaryPrimitives.ReadUInt64LittleEndian(block);
        for (int at = 0; at < block.Length; at += sizeof(ulong))
        {
            if (BinaryPrimitives.ReadUInt64LittleEndian(block[at..]) != stamp)
                throw new BrokenPromiseException($"A block of stamp {stamp:x} holds something else at byte {at}.");
        }

        return stamp;
    }

    /// <summary>The stamps of a range of blocks.</summary>
    public static ulong[] ReadAll(byte[] bytes) =>
        [.. Enumerable.Range(0, bytes.Length / BlockBytes).Select(block => Read(bytes.AsSpan(block * BlockBytes, BlockBytes)))];
}
