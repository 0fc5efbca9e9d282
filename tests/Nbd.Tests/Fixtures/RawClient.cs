using System.Buffers.Binary;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>An NBD client that sends exactly what a test tells it to, however wrong.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly Socket _socket;
    private SslStream? _tls;

    public RawClient(EndPoint endpoint, int? receiveBufferBytes = null, IPAddress? from = null)
    {
        bool isUnix = endpoint is UnixDomainSocketEndPoint;
        ProtocolType protocol = isUnix ? ProtocolType.Unspecified : ProtocolType.Tcp;
        _socket = new Socket(endpoint.AddressFamily, SocketType.Stream, protocol)
        {
            // A test that waits this long for an answer has failed.
            ReceiveTimeout = 20_000,
            SendTimeout = 20_000,
        };
        if (receiveBufferBytes is { } bytes) _socket.ReceiveBufferSize = bytes;
        if (!isUnix) _socket.NoDelay = true;
        if (from is not null) _socket.Bind(new IPEndPoint(from, 0));
        _socket.Connect(endpoint);
    }

    public Socket Socket => _socket;

    /// <summary>What came since TLS began, still sealed.</summary>
    public RecordedStream? Sealed { get; private set; }

    /// <summary>Whom the server says it is.</summary>
    public string? ServerSubject => _tls?.RemoteCertificate?.Subject;

    public static byte[] GoData(string name, params ushort[] infos)
    {
        byte[] nameBytes = Encoding.UTF8.GetBytes(name);
        return [.. U32((uint)nameBytes.Length), .. nameBytes, .. U16((ushort)infos.Length), .. infos.SelectMany(U16)];
    }

    public static byte[] U16(ushort value)
    {
        byte[] bytes = new byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] U32(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] U64(ulong value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] OptionBytes(uint option, params byte[] data) =>
        [.. U64(NbdConstants.OptionMagic), .. U32(option), .. U32((uint)data.Length), .. data];

    public static byte[] RequestBytes(
        ushort command, ulong cookie, ulong offset, uint length, ushort flags = 0, params byte[] payload) =>
        [
            .. U32(NbdConstants.RequestMagic), .. U16(flags), .. U16(command),
            .. U64(cookie), .. U64(offset), .. U32(length), .. payload,
        ];

    public void Send(params byte[] bytes)
    {
        if (_tls is not null)
        {
            _tls.Write(bytes);
            return;
        }

        for (int sent = 0; sent < bytes.Length;) sent += _socket.Send(bytes.AsSpan(sent));
    }

    public byte[] Read(int count)
    {
        byte[] bytes = new byte[count];
        for (int read = 0; read < count;)
        {
            int received = Receive(bytes.AsSpan(read));
            if (received == 0) throw new EndOfStreamException($"The server closed after {read} of {count} bytes.");
            read += received;
        }

        return bytes;
    }

    /// <summary>True when nothing but the end of the connection follows.</summary>
    public bool IsClosedByServer()
    {
        try
        {
            return Receive(new byte[1]) == 0;
        }
        catch (Exception fault) when ((fault.InnerException ?? fault) is SocketException
        {
            SocketErrorCode: SocketError.ConnectionReset
        })
        {
            return true;
        }
    }

    /// <summary>Reads the greeting and answers it.</summary>
    public RawClient Greet(uint flags = 3)
    {
        byte[] greeting = Read(18);
        Assert.Equal("NBDMAGICIHAVEOPT"u8.ToArray(), greeting[..16]);
        Assert.Equal(3, BinaryPrimitives.ReadUInt16BigEndian(greeting.AsSpan(16)));
        Send(U32(flags));
        return this;
    }

    public void SendOption(NbdOption option, params byte[] data) => Send(OptionBytes((uint)option, data));

    public (uint Option, uint Reply, byte[] Data) ReadOptionReply()
    {
        byte[] header = Read(20);
        Assert.Equal(NbdConstants.OptionReplyMagic, BinaryPrimitives.ReadUInt64BigEndian(header));
        byte[] data = Read(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16)));
        uint option = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8));
        return (option, BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12)), data);
    }

    /// <summary>Sends an option and reads its answers up to the acknowledgement or error.</summary>
    public List<(uint Reply, byte[] Data)> Ask(NbdOption option, params byte[] data)
    {
        SendOption(option, data);
        return ReadAnswers(option);
    }

    public List<(uint Reply, byte[] Data)> ReadAnswers(NbdOption option)
    {
        List<(uint Reply, byte[] Data)> answers = [];
        do
        {
            (uint echoed, uint reply, byte[] data) = ReadOptionReply();
            Assert.Equal((uint)option, echoed);
            answers.Add((reply, data));
        }
        while (answers[^1].Reply is not (uint)NbdOptionReply.Ack and < 0x80000000);
        return answers;
    }

    /// <summary>Sends an option that must fail, and returns the error.</summary>
    public uint AskError(NbdOption option, params byte[] data)
    {
        List<(uint Reply, byte[] Data)> answers = Ask(option, data);
        return Assert.Single(answers).Reply;
    }

    /// <summary>Greets and attaches an export.</summary>
    public RawClient Attach(string name = "disk")
    {
        Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, Ask(NbdOption.Go, GoData(name))[^1].Reply);
        return this;
    }

    public void Request(
        NbdCommand command, ulong cookie, ulong offset, uint length, CommandFlags flags = 0, params byte[] payload) =>
        Send(RequestBytes((ushort)command, cookie, offset, length, (ushort)flags, payload));

    public (NbdError Error, ulong Cookie) ReadReply()
    {
        byte[] header = Read(16);
        Assert.Equal(NbdConstants.SimpleReplyMagic, BinaryPrimitives.ReadUInt32BigEndian(header));
        var error = (NbdError)BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(4));
        return (error, BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)));
    }

    /// <summary>Sends one request and returns the error of its reply.</summary>
    public NbdError Call(NbdCommand command, ulong offset, uint length, CommandFlags flags = 0, params byte[] payload)
    {
        ulong cookie = 0x0102030405060708 ^ offset;
        Request(command, cookie, offset, length, flags, payload);
        (NbdError error, ulong echoed) = ReadReply();
        Assert.Equal(cookie, echoed);
        return error;
    }

    /// <summary>Reads bytes of the export; fails unless the server succeeds.</summary>
    public byte[] ReadExport(ulong offset, int length)
    {
        Assert.Equal(NbdError.None, Call(NbdCommand.Read, offset, (uint)length));
        return Read(length);
    }

    /// <summary>Greets, asks for structured replies and <c>base:allocation</c>, and attaches an export.</summary>
    public RawClient AttachStructured(string name = "disk", params string[] contexts)
    {
        Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, Ask(NbdOption.StructuredReply)[^1].Reply);
        if (contexts.Length > 0)
            Assert.Equal((uint)NbdOptionReply.Ack, Ask(NbdOption.SetMetaContext, MetaData(name, contexts))[^1].Reply);
        Assert.Equal((uint)NbdOptionReply.Ack, Ask(NbdOption.Go, GoData(name))[^1].Reply);
        return this;
    }

    public static byte[] MetaData(string name, params string[] queries) =>
        [.. Text(name), .. U32((uint)queries.Length), .. queries.SelectMany(Text)];

    /// <summary>Reads one chunk of a structured reply.</summary>
    public Chunk ReadChunk()
    {
        byte[] header = Read(20);
        Assert.Equal(NbdConstants.StructuredReplyMagic, BinaryPrimitives.ReadUInt32BigEndian(header));
        int flags = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4));
        Assert.InRange(flags, 0, 1);
        return new Chunk(
            flags == 1,
            (ReplyChunk)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6)),
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)),
            Read(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16))));
    }

    /// <summary>Sends one request and reads all chunks of its reply.</summary>
    public List<Chunk> CallStructured(
        NbdCommand command, ulong offset, uint length, CommandFlags flags = 0, params byte[] payload)
    {
        const ulong Cookie = 0xfedc_ba98_7654_3210;
        Request(command, Cookie, offset, length, flags, payload);
        List<Chunk> chunks = [];
        do
        {
            chunks.Add(ReadChunk());
            Assert.Equal(Cookie, chunks[^1].Cookie);
        }
        while (!chunks[^1].IsLast);
        return chunks;
    }

    /// <summary>Asks for TLS, which the server must grant, and does the handshake.</summary>
    public RawClient StartTls(
        TestAuthority trusted, IssuedCertificate? own = null, SslProtocols protocols = SslProtocols.None)
    {
        Assert.Equal((uint)NbdOptionReply.Ack, AskError(NbdOption.StartTls));
        return Secure(trusted, own, protocols);
    }

    /// <summary>Does the TLS handshake.</summary>
    public RawClient Secure(
        TestAuthority trusted, IssuedCertificate? own = null, SslProtocols protocols = SslProtocols.None)
    {
        Sealed = new RecordedStream(_socket);
        var tls = new SslStream(Sealed);
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            CustomTrustStore = { X509Certificate2.CreateFromPem(trusted.Certificate) },
        };
        tls.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "127.0.0.1",
            EnabledSslProtocols = protocols,
            CertificateChainPolicy = policy,
            ClientCertificateContext = own is null ? null : SslStreamCertificateContext.Create(
                X509Certificate2.CreateFromPem(own.Certificate, own.Key), additionalCertificates: null, offline: true),
        });
        _tls = tls;
        return this;
    }

    public void Dispose()
    {
        _tls?.Dispose();
        _socket.Dispose();
    }

    private int Receive(Span<byte> bytes) => _tls is not null ? _tls.Read(bytes) : _socket.Receive(bytes);

    private static byte[] Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [.. U32((uint)bytes.Length), .. bytes];
    }
}

/// <summary>One chunk of a structured reply.</summary>
internal sealed record Chunk(bool IsLast, ReplyChunk Kind, ulong Cookie, byte[] Data)
{
    public NbdError Error => (NbdError)BinaryPrimitives.ReadUInt32BigEndian(Data);

    /// <summary>The byte that an error chunk with an offset names.</summary>
    public ulong ErrorOffset => BinaryPrimitives.ReadUInt64BigEndian(Data.AsSpan(6));

    /// <summary>The first byte of a content chunk.</summary>
    public ulong Offset => BinaryPrimitives.ReadUInt64BigEndian(Data);

    /// <summary>The bytes of a data chunk.</summary>
    public byte[] Bytes => Data[8..];

    /// <summary>The length of a hole.</summary>
    public uint HoleLength => BinaryPrimitives.ReadUInt32BigEndian(Data.AsSpan(8));

    /// <summary>The runs of a block status.</summary>
    public (uint Length, uint Flags)[] Runs =>
        [.. Data[4..].Chunk(8).Select(run => (
            BinaryPrimitives.ReadUInt32BigEndian(run), BinaryPrimitives.ReadUInt32BigEndian(run.AsSpan(4))))];
}
