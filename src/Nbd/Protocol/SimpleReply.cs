using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The reply of sessions without structured replies: a header, and the bytes of a READ that succeeded.</summary>
internal static class SimpleReply
{
    /// <summary>Bytes of the header.</summary>
    public const int Size = 16;

    /// <summary>Writes the header.</summary>
    public static void Write(Span<byte> destination, NbdError error, ulong cookie)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination, NbdConstants.SimpleReplyMagic);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], (uint)error);
        BitConverter.TryWriteBytes(destination[8..], cookie);
    }
}
