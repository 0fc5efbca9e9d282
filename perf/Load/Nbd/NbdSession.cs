using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace ZeroFlow.Perf.Nbd;

/// <summary>
/// One negotiated connection: fixed newstyle, GO, simple replies. The socket stays blocking, so that the request loop
/// may wait inside one system call.
/// </summary>
internal sealed class NbdSession : IDisposable
{
    /// <summary>A server that sends nothing for so long with requests outstanding has stalled.</summary>
    public static readonly TimeSpan SilenceMax = TimeSpan.FromSeconds(30);

    private NbdSession(Socket socket) => Socket = socket;

    public Socket Socket { get; }

    public long SizeBytes { get; private set; }

    public NbdExportFlags Flags { get; private set; }

    /// <exception cref="NbdException">The server refused the export or broke the protocol.</exception>
    /// <exception cref="SocketException">There is no server, or it hung up.</exception>
    public static NbdSession Connect(NbdUri uri)
    {
        var socket = uri.NewSocket();
        try
        {
            socket.ReceiveTimeout = (int)SilenceMax.TotalMilliseconds;
            socket.Connect(uri.EndPoint());
            var session = new NbdSession(socket);
            session.Negotiate(uri.Export);
            return session;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Says goodbye and closes. Requests must have been answered before.</summary>
    public void Dispose()
    {
        Span<byte> header = stackalloc byte[NbdWire.RequestHeaderBytes];
        header.Clear();
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdWire.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)NbdCommand.Disconnect);
        try
        {
            Socket.Send(header);
        }
        catch (SocketException)
        {
            // The server is gone already: there is nobody to say goodbye to.
        }

        Socket.Dispose();
    }

    private void Negotiate(string export)
    {
        Span<byte> greeting = stackalloc byte[18];
        Receive(greeting);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != NbdWire.InitMagic ||
            BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]) != NbdWire.OptionMagic)
            throw new NbdException("The server does not greet as a newstyle NBD server.");

        var offered = BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        if ((offered & NbdWire.FixedNewstyle) == 0)
            throw new NbdException("The server does not speak fixed newstyle.");

        var name = Encoding.UTF8.GetBytes(export);
        var message = new byte[4 + 16 + 4 + name.Length + 2];
        BinaryPrimitives.WriteUInt32BigEndian(message, (uint)(offered & (NbdWire.FixedNewstyle | NbdWire.NoZeroes)));
        BinaryPrimitives.WriteUInt64BigEndian(message.AsSpan(4), NbdWire.OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(12), NbdWire.OptionGo);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(16), message.Length - 20);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(20), name.Length);
        name.CopyTo(message, 24);
        Socket.Send(message);
        ReadGoReplies(export);
    }

    private void ReadGoReplies(string export)
    {
        const int ReplyBytesMax = 64 * 1024;
        Span<byte> header = stackalloc byte[20];
        var exportSeen = false;
        while (true)
        {
            Receive(header);
            var type = BinaryPrimitives.ReadUInt32BigEndian(header[12..]);
            var length = BinaryPrimitives.ReadUInt32BigEndian(header[16..]);
            if (BinaryPrimitives.ReadUInt64BigEndian(header) != NbdWire.OptionReplyMagic || length > ReplyBytesMax)
                throw new NbdException("The server sent a malformed option reply.");

            var body = new byte[length];
            Receive(body);
            if ((type & NbdWire.ReplyErrorBit) != 0)
                throw new NbdException(
                    $"The server refused export '{export}': error {type:x}. {Encoding.UTF8.GetString(body)}");
            if (type == NbdWire.ReplyAck && exportSeen) return;
            if (type != NbdWire.ReplyInfo)
                throw new NbdException($"The server sent option reply {type} where GO expects information.");
            if (length < 2 || BinaryPrimitives.ReadUInt16BigEndian(body) != NbdWire.InfoExport) continue;
            if (length != 12) throw new NbdException("The server sent export information of a wrong length.");

            SizeBytes = BinaryPrimitives.ReadInt64BigEndian(body.AsSpan(2));
            Flags = (NbdExportFlags)BinaryPrimitives.ReadUInt16BigEndian(body.AsSpan(10));
            exportSeen = true;
        }
    }

    private void Receive(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var count = Socket.Receive(destination);
            if (count == 0) throw new NbdException("The server hung up during the handshake.");
            destination = destination[count..];
        }
    }
}
