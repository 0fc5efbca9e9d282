using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace ZeroFlow.SystemTests.Wire;

/// <summary>
/// A conversation with any NBD server, byte by byte, right or wrong, written from the protocol's text and from nothing of
/// this project. One thread; a server that says nothing for long fails the test.
/// </summary>
internal sealed class RawNbd : IDisposable
{
    public const uint Ack = 1;
    public const uint Server = 2;
    public const uint Info = 3;
    public const uint MetaContext = 4;
    public const uint ErrorUnsupported = 0x80000001;
    public const uint ErrorPolicy = 0x80000002;
    public const uint ErrorInvalid = 0x80000003;
    public const uint ErrorUnknown = 0x80000006;

    public const uint NotPermitted = 1;
    public const uint Invalid = 22;
    public const uint NoSpace = 28;
    public const uint NotSupported = 95;

    private const ulong OptionMagic = 0x49484156454f5054;
    private readonly Socket _socket;

    public RawNbd(int port)
    {
        _socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 20_000 };
        _socket.Connect(IPAddress.Loopback, port);
    }

    /// <summary>Size of the export that was attached.</summary>
    public long Bytes { get; private set; }

    /// <summary>Its transmission flags.</summary>
    public ushort Flags { get; private set; }

    public static byte[] U16(int value) => [(byte)(value >> 8), (byte)value];

    public static byte[] U32(uint value) => [.. U16((int)(value >> 16)), .. U16((int)value)];

    public static byte[] U64(ulong value) => [.. U32((uint)(value >> 32)), .. U32((uint)value)];

    public static byte[] Text(string text) => [.. U32((uint)Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] GoData(string name, params int[] infos) =>
        [.. Text(name), .. U16(infos.Length), .. infos.SelectMany(U16)];

    public static byte[] MetaData(string name, params string[] queries) =>
        [.. Text(name), .. U32((uint)queries.Length), .. queries.SelectMany(Text)];

    public static byte[] Option(uint option, params byte[] data) =>
        [.. U64(OptionMagic), .. U32(option), .. U32((uint)data.Length), .. data];

    public static byte[] Request(int command, ulong cookie, ulong offset, uint length, int flags = 0, params byte[] payload) =>
        [.. U32(0x25609513), .. U16(flags), .. U16(command), .. U64(cookie), .. U64(offset), .. U32(length), .. payload];

    public void Send(params byte[] bytes)
    {
        for (var sent = 0; sent < bytes.Length;) sent += _socket.Send(bytes.AsSpan(sent));
    }

    public void EndSending() => _socket.Shutdown(SocketShutdown.Send);

    public byte[] Read(int count)
    {
        var bytes = new byte[count];
        for (var read = 0; read < count;)
        {
            var received = _socket.Receive(bytes.AsSpan(read));
            if (received == 0) throw new EndOfStreamException($"The server closed after {read} of {count} bytes.");
            read += received;
        }

        return bytes;
    }

    /// <summary>True when the server closes without another byte.</summary>
    public bool IsClosed()
    {
        try
        {
            return _socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException fault) when (fault.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    /// <summary>Reads the greeting, whose flags it returns, and answers it.</summary>
    public int Greet(uint flags = 3)
    {
        var greeting = Read(18);
        Assert.Equal("NBDMAGICIHAVEOPT"u8.ToArray(), greeting[..16]);
        Send(U32(flags));
        return BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16));
    }

    /// <summary>Sends an option and reads its answers up to the acknowledgement or error.</summary>
    public List<(uint Type, byte[] Data)> Ask(uint option, params byte[] data)
    {
        Send(Option(option, data));
        return ReadAnswers(option);
    }

    public List<(uint Type, byte[] Data)> ReadAnswers(uint option)
    {
        List<(uint Type, byte[] Data)> answers = [];
        do
        {
            var header = Read(20);
            Assert.Equal(0x3e889045565a9UL, BinaryPrimitives.ReadUInt64BigEndian(header));
            Assert.Equal(option, BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8)));
            var data = Read(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16)));
            answers.Add((BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)), data));
        }
        while (answers[^1].Type is not Ack and < 0x80000000);
        return answers;
    }

    /// <summary>Sends an option that has one answer, and returns that one's type.</summary>
    public uint AskOne(uint option, params byte[] data) => Assert.Single(Ask(option, data)).Type;

    /// <summary>Attaches an export behind the greeting.</summary>
    public RawNbd Go(string name = "disk")
    {
        var answers = Ask(7, GoData(name));
        Assert.Equal(Ack, answers[^1].Type);
        var export = answers.Single(a => a.Type == Info && a.Data.Length == 12).Data;
        Bytes = BinaryPrimitives.ReadInt64BigEndian(export.AsSpan(2));
        Flags = BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10));
        return this;
    }

    /// <summary>Sends one request, reads its simple reply, and returns the error.</summary>
    public uint Call(int command, ulong offset, uint length, int flags = 0, params byte[] payload)
    {
        var cookie = 0xfeed_0000_beef_0001 ^ offset;
        Send(Request(command, cookie, offset, length, flags, payload));
        return ReadReply(cookie);
    }

    public uint ReadReply(ulong cookie)
    {
        var (error, echoed) = ReadReply();
        Assert.Equal(cookie, echoed);
        return error;
    }

    public (uint Error, ulong Cookie) ReadReply()
    {
        var header = Read(16);
        Assert.Equal(0x67446698u, BinaryPrimitives.ReadUInt32BigEndian(header));
        return (BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(4)), BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)));
    }

    /// <summary>Reads bytes of the export, by simple replies.</summary>
    public byte[] ReadExport(ulong offset, uint length)
    {
        Assert.Equal(0u, Call(0, offset, length));
        return Read((int)length);
    }

    /// <summary>Sends one request and reads its chunks. A command without content may have a simple reply.</summary>
    public List<(int Type, byte[] Data)> CallChunks(int command, ulong offset, uint length, int flags = 0, params byte[] payload)
    {
        const ulong Cookie = 0x0011_2233_4455_6677;
        Send(Request(command, Cookie, offset, length, flags, payload));
        List<(int Type, byte[] Data)> chunks = [];
        while (true)
        {
            var magic = BinaryPrimitives.ReadUInt32BigEndian(Read(4));
            if (magic == 0x67446698)
            {
                Assert.NotEqual(0, command);
                var rest = Read(12);
                return [(rest.AsSpan(0, 4).ContainsAnyExcept((byte)0) ? 0x8001 : 0, rest[..4])];
            }

            Assert.Equal(0x668e33efu, magic);
            var header = Read(16);
            Assert.Equal(Cookie, BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(4)));
            chunks.Add((
                BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(2)), Read(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(12)))));
            if ((BinaryPrimitives.ReadUInt16BigEndian(header) & 1) != 0) return chunks;
        }
    }

    public void Dispose() => _socket.Dispose();
}
