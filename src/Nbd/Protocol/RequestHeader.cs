using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The fixed part of a request, as it came: nothing in it is trusted yet.</summary>
/// <param name="Flags">Command flags, known or not.</param>
/// <param name="Command">The command, known or not.</param>
/// <param name="Cookie">The client's name for the request; echoed bit for bit, hence never swapped.</param>
/// <param name="Offset">First byte, unsigned as on the wire.</param>
/// <param name="Length">Bytes asked for, or of the payload that follows.</param>
/// <param name="HasPayload"><paramref name="Length"/> bytes follow.</param>
internal readonly record struct RequestHeader(
    CommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, ulong Length, bool HasPayload)
{
    /// <summary>Bytes of a compact header on the wire.</summary>
    public const int CompactSize = 28;

    /// <summary>Bytes of an extended header on the wire.</summary>
    public const int ExtendedSize = 32;

    /// <summary>True when the command flags ask for durability before the reply.</summary>
    public bool ForcesUnitAccess => (Flags & CommandFlags.ForceUnitAccess) != 0;

    /// <summary>Reads the header at the start of <paramref name="source"/>.</summary>
    /// <exception cref="NbdProtocolException">The magic is wrong: the stream is out of step, or not NBD.</exception>
    public static RequestHeader Parse(ReadOnlySpan<byte> source, bool isExtended)
    {
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(source);
        if (magic != (isExtended ? NbdConstants.ExtendedRequestMagic : NbdConstants.RequestMagic))
            throw new NbdProtocolException($"A request began with 0x{magic:x8} instead of the request magic.");
        var flags = (CommandFlags)BinaryPrimitives.ReadUInt16BigEndian(source[4..]);
        var command = (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(source[6..]);
        return new RequestHeader(
            flags,
            command,
            BitConverter.ToUInt64(source[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(source[16..]),
            isExtended
                ? BinaryPrimitives.ReadUInt64BigEndian(source[24..])
                : BinaryPrimitives.ReadUInt32BigEndian(source[24..]),
            isExtended ? (flags & CommandFlags.PayloadLength) != 0 : command == NbdCommand.Write);
    }
}
