using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>
/// The chunks of a reply, with compact or extended headers (doc/proto.md, "Structured reply chunk message" and "Extended
/// reply chunk message"). Every method writes the part of a chunk that stands before its payload, and returns its length.
/// </summary>
/// <param name="isExtended">Headers are the extended ones.</param>
internal readonly struct StructuredReply(bool isExtended)
{
    /// <summary>Most runs of data and holes that one READ is answered with.</summary>
    public const int RunsMax = 4;

    private const int CompactHeaderSize = 20;
    private const int ExtendedHeaderSize = 32;
    private const int HoleBytes = 12;
    private const int ErrorOffsetBytes = 14;
    private const ushort Done = 1;

    /// <summary>Most bytes that one reply needs beside payloads: a header and a hole for each of its runs.</summary>
    public int HeadBytesMax => RunsMax * (HeaderSize + HoleBytes);

    /// <summary>Most bytes of a chunk, beside the data of the export.</summary>
    public int ChunkBytesMax => HeaderSize + ErrorOffsetBytes;

    /// <summary>Bytes of a chunk's header.</summary>
    public int HeaderSize => isExtended ? ExtendedHeaderSize : CompactHeaderSize;

    /// <summary>The whole reply to a command that succeeded and has nothing to tell.</summary>
    public int WriteNone(Span<byte> target, in RequestHeader request) =>
        WriteHeader(target, ReplyChunk.None, request, 0, isLast: true);

    /// <summary>The whole reply to a command that failed.</summary>
    public int WriteError(Span<byte> target, in RequestHeader request, NbdError error)
    {
        int at = WriteHeader(target, ReplyChunk.Error, request, 6, isLast: true);
        BinaryPrimitives.WriteUInt32BigEndian(target[at..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(target[(at + 4)..], 0);
        return at + 6;
    }

    /// <summary>A whole chunk that says that a command failed at <paramref name="offset"/>.</summary>
    public int WriteErrorOffset(
        Span<byte> target, in RequestHeader request, NbdError error, ulong offset, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.ErrorOffset, request, ErrorOffsetBytes, isLast);
        BinaryPrimitives.WriteUInt32BigEndian(target[at..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(target[(at + 4)..], 0);
        BinaryPrimitives.WriteUInt64BigEndian(target[(at + 6)..], offset);
        return at + ErrorOffsetBytes;
    }

    /// <summary>The head of a chunk that <paramref name="length"/> bytes of the export follow.</summary>
    public int WriteData(Span<byte> target, in RequestHeader request, ulong offset, uint length, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.OffsetData, request, 8 + length, isLast);
        BinaryPrimitives.WriteUInt64BigEndian(target[at..], offset);
        return at + 8;
    }

    /// <summary>A whole chunk that says that <paramref name="length"/> bytes read as zeros.</summary>
    public int WriteHole(Span<byte> target, in RequestHeader request, ulong offset, uint length, bool isLast)
    {
        int at = WriteHeader(target, ReplyChunk.OffsetHole, request, HoleBytes, isLast);
        BinaryPrimitives.WriteUInt64BigEndian(target[at..], offset);
        BinaryPrimitives.WriteUInt32BigEndian(target[(at + 8)..], length);
        return at + HoleBytes;
    }

    /// <summary>Writes the header of a chunk with <paramref name="length"/> bytes behind it.</summary>
    public int WriteHeader(
        Span<byte> target, ReplyChunk kind, in RequestHeader request, uint length, bool isLast)
    {
        BinaryPrimitives.WriteUInt32BigEndian(
            target, isExtended ? NbdConstants.ExtendedReplyMagic : NbdConstants.StructuredReplyMagic);
        BinaryPrimitives.WriteUInt16BigEndian(target[4..], isLast ? Done : (ushort)0);
        BinaryPrimitives.WriteUInt16BigEndian(target[6..], (ushort)kind);
        BitConverter.TryWriteBytes(target[8..], request.Cookie);
        if (!isExtended)
        {
            BinaryPrimitives.WriteUInt32BigEndian(target[16..], length);
            return CompactHeaderSize;
        }

        BinaryPrimitives.WriteUInt64BigEndian(target[16..], request.Offset);
        BinaryPrimitives.WriteUInt64BigEndian(target[24..], length);
        return ExtendedHeaderSize;
    }
}
