using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Traces;

namespace ZeroFlow.Perf.Recording;

/// <summary>
/// Watches the bytes of one NBD connection go by, in both directions and in pieces of any size, and reports what was
/// negotiated and every request. It never holds up or changes a byte; what it does not understand ends the watching and
/// nothing else. Calls for the two directions may come from two threads.
/// </summary>
/// <remarks>
/// Client's direction: flags, then options and requests, told apart by their magic numbers, so that it does not matter
/// when exactly the transmission phase begins. Server's direction: the greeting and the replies to options, which have
/// the size and the flags of the export; replies to requests are not looked at.
/// </remarks>
internal sealed class NbdWatcher
{
    private readonly Lock _lock = new();
    private readonly Action<TraceConnection> _connected;
    private readonly Action<NbdCommand, NbdRequestFlags, long, long> _requested;
    private readonly int _number;
    private readonly FrameCollector _fromClient;
    private readonly FrameCollector _fromServer;
    private string _export = "";
    private long _size;
    private NbdExportFlags _flags;
    private ReplyForm _replies;
    private bool _exportNameAsked;
    private bool _noZeroes;
    private bool _transmits;

    /// <summary>A watcher of connection <paramref name="number"/>; both callbacks run inside its lock.</summary>
    public NbdWatcher(
        int number, Action<TraceConnection> connected, Action<NbdCommand, NbdRequestFlags, long, long> requested)
    {
        _number = number;
        _connected = connected;
        _requested = requested;
        _fromClient = new FrameCollector(4, ReadClientFlags);
        _fromServer = new FrameCollector(16, ReadGreeting);
    }

    /// <summary>Why watching ended early; null while all is understood.</summary>
    public string? Lost { get; private set; }

    /// <summary>Bytes on their way to the server; to be shown before they are sent on.</summary>
    public void ClientSent(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (Lost is null) _fromClient.Take(bytes);
        }
    }

    /// <summary>Bytes on their way to the client; to be shown before they are sent on.</summary>
    public void ServerSent(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (Lost is null && !_transmits) _fromServer.Take(bytes);
        }
    }

    private void ReadClientFlags(ReadOnlySpan<byte> frame)
    {
        // The server's greeting comes first, so that an old-style connection has been recognised by now.
        _noZeroes = (BinaryPrimitives.ReadUInt32BigEndian(frame) & NbdWire.NoZeroes) != 0;
        _fromClient.Expect(8, ReadClientMagic);
    }

    private void ReadClientMagic(ReadOnlySpan<byte> frame)
    {
        if (BinaryPrimitives.ReadUInt64BigEndian(frame) == NbdWire.OptionMagic)
        {
            _fromClient.Extend(16, ReadOption);
            return;
        }

        switch (BinaryPrimitives.ReadUInt32BigEndian(frame))
        {
            case NbdWire.RequestMagic:
                _fromClient.Extend(NbdWire.RequestHeaderBytes, ReadRequest);
                break;
            case NbdWire.ExtendedRequestMagic:
                _fromClient.Extend(NbdWire.ExtendedRequestHeaderBytes, ReadExtendedRequest);
                break;
            default:
                Lose("the client sent something that is neither an option nor a request");
                break;
        }
    }

    private void ReadOption(ReadOnlySpan<byte> frame)
    {
        var option = BinaryPrimitives.ReadUInt32BigEndian(frame[8..]);
        var length = BinaryPrimitives.ReadUInt32BigEndian(frame[12..]);
        _exportNameAsked |= option == NbdWire.OptionExportName;
        var names = option is NbdWire.OptionGo or NbdWire.OptionExportName;
        if (names && length is > 0 and <= 2 * RecordedTraceFormat.NameBytesMax)
        {
            _fromClient.Expect((int)length, body => ReadExportName(option, body));
        }
        else
        {
            if (option == NbdWire.OptionExportName) ReadExportName(option, []);
            _fromClient.Skip(length);
            _fromClient.Expect(8, ReadClientMagic);
        }
    }

    private void ReadExportName(uint option, ReadOnlySpan<byte> body)
    {
        if (option == NbdWire.OptionGo)
        {
            var length = body.Length < 4 ? 0 : (int)Math.Min(BinaryPrimitives.ReadUInt32BigEndian(body), int.MaxValue);
            body = body.Length < 4 ? [] : body.Slice(4, Math.Min(length, body.Length - 4));
        }

        _export = Encoding.UTF8.GetString(body);
        _fromClient.Expect(8, ReadClientMagic);
    }

    private void ReadRequest(ReadOnlySpan<byte> frame) =>
        Report(frame, BinaryPrimitives.ReadUInt32BigEndian(frame[24..]), extended: false);

    private void ReadExtendedRequest(ReadOnlySpan<byte> frame) =>
        Report(frame, BinaryPrimitives.ReadInt64BigEndian(frame[24..]), extended: true);

    private void Report(ReadOnlySpan<byte> frame, long length, bool extended)
    {
        if (!_transmits) BeginTransmission();
        var flags = (NbdRequestFlags)BinaryPrimitives.ReadUInt16BigEndian(frame[4..]);
        var command = (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(frame[6..]);
        _requested(command, flags, BinaryPrimitives.ReadInt64BigEndian(frame[16..]), length);

        // Between extended headers a flag says that the length is one of a payload, for any command.
        var payload = command == NbdCommand.Write || (extended && flags.HasFlag(NbdRequestFlags.PayloadLength));
        if (payload) _fromClient.Skip(length);
        _fromClient.Expect(8, ReadClientMagic);
    }

    private void ReadGreeting(ReadOnlySpan<byte> frame)
    {
        if (BinaryPrimitives.ReadUInt64BigEndian(frame) != NbdWire.InitMagic)
        {
            Lose("the server does not greet as an NBD server");
        }
        else if (BinaryPrimitives.ReadUInt64BigEndian(frame[8..]) == NbdWire.OptionMagic)
        {
            _fromServer.Skip(2);
            _fromServer.Expect(8, ReadServerMagic);
        }
        else
        {
            Lose("the server speaks the old-style protocol");
        }
    }

    private void ReadServerMagic(ReadOnlySpan<byte> frame)
    {
        // What follows is replies to requests, though it came together with the last reply to an option.
        if (_transmits) return;

        // EXPORT_NAME is the one option whose answer has no header: the export's size stands in its place.
        if (BinaryPrimitives.ReadUInt64BigEndian(frame) == NbdWire.OptionReplyMagic)
            _fromServer.Extend(20, ReadOptionReply);
        else if (_exportNameAsked)
            _fromServer.Extend(_noZeroes ? 10 : 10 + 124, ReadExportReply);
        else
            Lose("the server sent a malformed option reply");
    }

    private void ReadOptionReply(ReadOnlySpan<byte> frame)
    {
        var option = BinaryPrimitives.ReadUInt32BigEndian(frame[8..]);
        var type = BinaryPrimitives.ReadUInt32BigEndian(frame[12..]);
        var length = BinaryPrimitives.ReadUInt32BigEndian(frame[16..]);
        if (type == NbdWire.ReplyAck) Accept(option);
        if (type == NbdWire.ReplyInfo && length == 12)
        {
            _fromServer.Expect(12, ReadInformation);
        }
        else
        {
            _fromServer.Skip(length);
            _fromServer.Expect(8, ReadServerMagic);
        }
    }

    private void Accept(uint option)
    {
        switch (option)
        {
            case NbdWire.OptionStartTls:
                Lose("the connection is encrypted");
                break;
            case NbdWire.OptionStructuredReply when _replies == ReplyForm.Simple:
                _replies = ReplyForm.Structured;
                break;
            case NbdWire.OptionExtendedHeaders:
                _replies = ReplyForm.Extended;
                break;
            case NbdWire.OptionGo:
                BeginTransmission();
                break;
        }
    }

    private void ReadInformation(ReadOnlySpan<byte> frame)
    {
        if (BinaryPrimitives.ReadUInt16BigEndian(frame) == NbdWire.InfoExport) ReadExport(frame[2..]);
        _fromServer.Expect(8, ReadServerMagic);
    }

    private void ReadExportReply(ReadOnlySpan<byte> frame)
    {
        ReadExport(frame);
        BeginTransmission();
    }

    private void ReadExport(ReadOnlySpan<byte> frame)
    {
        _size = BinaryPrimitives.ReadInt64BigEndian(frame);
        _flags = (NbdExportFlags)BinaryPrimitives.ReadUInt16BigEndian(frame[8..]);
    }

    private void BeginTransmission()
    {
        if (_transmits) return;
        _transmits = true;
        _connected(new TraceConnection(_number, _export, _size, _flags, _replies));
    }

    private void Lose(string why) => Lost ??= why;
}
