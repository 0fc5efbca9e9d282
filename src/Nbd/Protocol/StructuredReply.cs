using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>
/// The chunks of a structured reply (doc/proto.md, "Structured reply chunk message"). Every method writes the part of a
/// chunk that stands before its payload, and returns its length.
/// </summary>
internal static class StructuredReply
{
    /// <summary>Most bytes that one reply needs beside payloads: a header and a hole for each of its runs.</summary>
    public const int HeadBytesMax = RunsMax * HoleSize;

    /// <summary>Most runs of data and holes that one READ is answered with.</summary>
    public const int RunsMax = 4;

    private const int HeaderSize = 20;
    private const int HoleSize = HeaderSize + 12;
    private const ushort Done = 1;

    /// <summary>The whole reply to a command that succeeded and has nothing to tell.</summary>
    public static int WriteNone(Span<byte> target, ulong cookie) =>
        WriteHeader(target, ReplyChunk.None, cookie, 0, isLast: true);

    /// <summary>The whole reply to a command that failed.</summary>
    public static int WriteError(Span<byte> target, ulong cookie, NbdError error)
    {
        int at = WriteHeader(target, ReplyChunk.Error, cookie, 6, isLast: true);
        BinaryPrimitives.WriteUInt32BigEndian(target[at..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(target[(at + 4)..], 0);
        return at + 6;
    }

    /// <summary>Bytes of a chunk that says where a command failed.</summary>
    public const int ErrorOffsetSize = HeaderSize + 14;

    /// <summary>A whole chunk that says that a command failed at <paramref name="offset"/>.</summary>
    public static int WriteErrorOffset(Span<byte> target, ulong cookie, NbdError error, ulong offset, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.ErrorOffset, cookie, 14, isLast);
        BinaryPrimitives.WriteUInt32BigEndian(target[at..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(target[(at + 4)..], 0);
        BinaryPrimitives.WriteUInt64BigEndian(target[(at + 6)..], offset);
        return at + 14;
    }

    /// <summary>The head of a chunk that <paramref name="length"/> bytes of the export follow.</summary>
    public static int WriteData(Span<byte> target, ulong cookie, ulong offset, uint length, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.OffsetData, cookie, 8 + length, isLast);
        BinaryPrimitives.WriteUInt64BigEndian(target[at..], offset);
        return at + 8;
    }

    /// <summary>A whole chunk that says that <paramref name="length"/> bytes read as zeros.</summary>
    public static int WriteHole(Span<byte> target, ulong cookie, ulong offset, uint length, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.OffsetHole, cookie, 12, isLast);
        BinaryPrimitives.WriteUInt64BigEndian(target[at..], offset);
        BinaryPrimitives.WriteUInt32BigEndian(target[(at + 8)..], length);
        return at + 12;
    }

    /// <summary>The head of a chunk that a block status of <paramref name="length"/> bytes follows.</summary>
    public static int WriteBlockStatus(Span<byte> target, ulong cookie, uint length) =>
        WriteHeader(target, ReplyChunk.BlockStatus, cookie, length, isLast: true);

    private static int WriteHeader(Span<byte> target, ReplyChunk kind, ulong cookie, uint length, bool isLast)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, NbdConstants.StructuredReplyMagic);
        BinaryPrimitives.WriteUInt16BigEndian(target[4..], isLast ? Done : (ushort)0);
        BinaryPrimitives.WriteUInt16BigEndian(target[6..], (ushort)kind);
        BitConverter.TryWriteBytes(target[8..], cookie);
        BinaryPrimitives.WriteUInt32BigEndian(target[16..], length);
        return HeaderSize;
    }
}
