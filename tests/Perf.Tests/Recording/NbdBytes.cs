using System.Buffers.Binary;
using System.Text;

namespace ZeroFlow.Perf.Tests.Recording;

// Bytes of the two directions of an NBD connection, written from the protocol's description.
internal static class NbdBytes
{
    public static byte[] Greeting(ushort flags = 3) => [.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, .. U16(flags)];

    public static byte[] Option(uint option, byte[] body) =>
        [.. "IHAVEOPT"u8, .. U32(option), .. U32((uint)body.Length), .. body];

    public static byte[] Go(string export) =>
        Option(7, [.. U32((uint)export.Length), .. Encoding.ASCII.GetBytes(export), .. U16(1), .. U16(3)]);

    public static byte[] Reply(uint option, uint type, byte[] body) =>
        [.. U64(0x3e889045565a9), .. U32(option), .. U32(type), .. U32((uint)body.Length), .. body];

    public static byte[] ExportInfo(long size, ushort flags) =>
        Reply(7, 3, [.. U16(0), .. U64((ulong)size), .. U16(flags)]);

    public static byte[] Request(ushort flags, ushort command, long offset, uint length, int payload = 0) =>
        [.. U32(0x25609513), .. U16(flags), .. U16(command), .. U64(7), .. U64((ulong)offset), .. U32(length),
            .. Noise(payload)];

    public static byte[] ExtendedRequest(ushort flags, ushort command, long offset, long length, int payload = 0) =>
        [.. U32(0x21e41c71), .. U16(flags), .. U16(command), .. U64(7), .. U64((ulong)offset), .. U64((ulong)length),
            .. Noise(payload)];

    public static byte[] U16(ushort value)
    {
        var bytes = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] U32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] U64(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    // A payload full of what looks like requests and options must not be taken for any.
    private static byte[] Noise(int length)
    {
        byte[] lure = [.. U32(0x25609513), .. "IHAVEOPT"u8];
        return [.. Enumerable.Range(0, length).Select(i => lure[i % lure.Length])];
    }
}
