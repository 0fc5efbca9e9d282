using System.Buffers.Binary;
using System.Numerics;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The answer to a BLOCK_STATUS: one chunk for each context that is asked about, headers and all.</summary>
/// <param name="isExtended">Headers are the extended ones, and lengths have 64 bits.</param>
internal readonly struct BlockStatusReply(bool isExtended)
{
    /// <summary>Most runs of one context in one answer; the client asks again for the rest.</summary>
    public const int RunsMax = 1024;

    /// <summary>Most bytes of an export that one answer describes; the client asks again for the rest.</summary>
    /// <remarks>The map is looked up a page at a time: this is about a millisecond of looking.</remarks>
    public const long RangeBytesMax = 64L * 1024 * 1024 * 1024;

    // NBD_STATE_HOLE and NBD_STATE_ZERO: nothing is stored there, and it reads as zeros.
    private const uint HoleAndZero = 3;

    // The bit that qemu:dirty-bitmap has for "dirty", so that clients of that read this, too.
    private const uint Changed = 1;

    private readonly StructuredReply _chunks = new(isExtended);

    private int RunSize => isExtended ? 16 : 8;

    private int FixedSize => isExtended ? 8 : 4;

    /// <summary>Most bytes of the whole answer to a request about <paramref name="contexts"/>, a set of bits.</summary>
    public int BytesMax(in RequestHeader header, uint contexts) =>
        BitOperations.PopCount(contexts) * (_chunks.HeaderSize + FixedSize + (RunsFor(header) * RunSize));

    /// <summary>Most runs that <paramref name="header"/> may be answered with.</summary>
    public static int RunsFor(in RequestHeader header) => (header.Flags & CommandFlags.RequireOne) != 0 ? 1 : RunsMax;

    /// <summary>Writes the chunk of <c>base:allocation</c>; returns its length.</summary>
    public int Write(Span<byte> target, in RequestHeader header, uint context, ReadOnlySpan<BlockStatus> runs, bool isLast)
    {
        int at = WriteHead(target, header, context, runs.Length, isLast);
        foreach (BlockStatus run in runs) at += WriteRun(target[at..], run.Length, run.IsHole ? HoleAndZero : 0);
        return at;
    }

    /// <summary>Writes the chunk of a context that tells of changes; returns its length.</summary>
    public int Write(Span<byte> target, in RequestHeader header, uint context, ReadOnlySpan<ChangedRun> runs, bool isLast)
    {
        int at = WriteHead(target, header, context, runs.Length, isLast);
        foreach (ChangedRun run in runs) at += WriteRun(target[at..], run.Length, run.IsChanged ? Changed : 0);
        return at;
    }

    private int WriteHead(Span<byte> target, in RequestHeader header, uint context, int runs, bool isLast)
    {
        ReplyChunk kind = isExtended ? ReplyChunk.BlockStatusExtended : ReplyChunk.BlockStatus;
        int at = _chunks.WriteHeader(target, kind, header, (uint)(FixedSize + (runs * RunSize)), isLast);
        BinaryPrimitives.WriteUInt32BigEndian(target[at..], context);
        if (isExtended) BinaryPrimitives.WriteUInt32BigEndian(target[(at + 4)..], (uint)runs);
        return at + FixedSize;
    }

    private int WriteRun(Span<byte> target, long length, uint flags)
    {
        if (isExtended)
        {
            BinaryPrimitives.WriteInt64BigEndian(target, length);
            BinaryPrimitives.WriteUInt64BigEndian(target[8..], flags);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(target, (uint)length);
            BinaryPrimitives.WriteUInt32BigEndian(target[4..], flags);
        }

        return RunSize;
    }
}
