using System.Buffers.Binary;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The payload of a block-status chunk for <c>base:allocation</c>.</summary>
internal static class BlockStatusPayload
{
    /// <summary>Most runs in one answer; the client asks again for the rest.</summary>
    public const int RunsMax = 1024;

    private const int RunSize = 8;

    // NBD_STATE_HOLE and NBD_STATE_ZERO: nothing is stored there, and it reads as zeros.
    private const uint HoleAndZero = 3;

    /// <summary>Bytes that <paramref name="runs"/> runs take.</summary>
    public static int Bytes(int runs) => 4 + (runs * RunSize);

    /// <summary>Most runs that <paramref name="header"/> may be answered with.</summary>
    public static int RunsFor(in RequestHeader header) => (header.Flags & CommandFlags.RequireOne) != 0 ? 1 : RunsMax;

    /// <summary>Writes the payload; returns its length.</summary>
    public static int Write(Span<byte> target, ReadOnlySpan<BlockStatus> runs)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, MetaContextQuery.AllocationId);
        for (int i = 0; i < runs.Length; i++)
        {
            Span<byte> run = target[Bytes(i)..];
            BinaryPrimitives.WriteUInt32BigEndian(run, (uint)runs[i].Length);
            BinaryPrimitives.WriteUInt32BigEndian(run[4..], runs[i].IsHole ? HoleAndZero : 0);
        }

        return Bytes(runs.Length);
    }
}
