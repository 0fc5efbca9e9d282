using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The fixed part of a request, as it came: nothing in it is trusted yet.</summary>
/// <param name="Flags">Command flags, known or not.</param>
/// <param name="Command">The command, known or not.</param>
/// <param name="Cookie">The client's name for the request; echoed bit for bit, hence never swapped.</param>
/// <param name="Offset">First byte, unsigned as on the wire.</param>
/// <param name="Length">Bytes asked for.</param>
internal readonly record struct RequestHeader(
    CommandFlags Flags, NbdCommand Command, ulong Cookie, ulong Offset, uint Length)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 28;

    /// <summary>True when the command flags ask for durability before the reply.</summary>
    public bool ForcesUnitAccess => (Flags & CommandFlags.ForceUnitAccess) != 0;

    /// <summary>Reads the header at the start of <paramref name="source"/>.</summary>
    /// <exception cref="NbdProtocolException">The magic is wrong: the stream is out of step, or not NBD.</exception>
    public static RequestHeader Parse(ReadOnlySpan<byte> source)
    {
        uint magic = BinaryPrimitives.ReadUInt32BigEndian(source);
        if (magic != NbdConstants.RequestMagic)
            throw new NbdProtocolException($"A request began with 0x{magic:x8} instead of the request magic.");
        return new RequestHeader(
            (CommandFlags)BinaryPrimitives.ReadUInt16BigEndian(source[4..]),
            (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(source[6..]),
            BitConverter.ToUInt64(source[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(source[16..]),
            BinaryPrimitives.ReadUInt32BigEndian(source[24..]));
    }
}
