using System.Text;
using ZeroFlow.Perf.Nbd;
using static ZeroFlow.Perf.Traces.RecordedTraceFormat;

namespace ZeroFlow.Perf.Traces;

/// <summary>Reads the recorder's own format, <see cref="RecordedTraceFormat"/>, from front to back.</summary>
/// <param name="stream">Stays the caller's; best buffered.</param>
internal sealed class RecordedTrace(Stream stream)
{
    private readonly List<TraceConnection> _connections = [];
    private long _micros;
    private long _offset;
    private int _connection;
    private long _count;

    /// <summary>The connections met so far.</summary>
    public IReadOnlyList<TraceConnection> Connections => _connections;

    /// <exception cref="FormatException">Not a trace of a version that is known, or damaged, or cut off.</exception>
    public IEnumerable<TraceRecord> Read()
    {
        var header = new byte[HeaderBytes];
        if (stream.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false) < HeaderBytes ||
            !header.AsSpan().StartsWith(Magic)) throw new FormatException("no recorded trace");
        if (header[Magic.Length] != RecordedTraceFormat.Version)
            throw new FormatException($"a recorded trace of version {header[Magic.Length]}, which is not known");

        while (true)
        {
            var tag = ReadByte();
            switch (tag & KindMask)
            {
                case <= CommandMax:
                    yield return ReadRequest(tag);
                    break;
                case ConnectionKind:
                    _connections.Add(ReadConnection());
                    break;
                case EndKind when (long)ReadVarint() == _count:
                    yield break;
                default:
                    throw new FormatException($"damaged after {_count} requests");
            }
        }
    }

    private TraceRecord ReadRequest(int tag)
    {
        var command = tag & KindMask;
        _micros += (long)ReadVarint();
        if ((tag & ConnectionBit) != 0) _connection = (int)ReadVarint();
        var flags = (tag & FlagsBit) != 0 ? (NbdRequestFlags)ReadVarint() : NbdRequestFlags.None;
        var (offset, length) = (0L, 0L);
        if (HasRange(command))
        {
            var step = ReadVarint();
            offset = _offset + ((long)(step >> 1) ^ -(long)(step & 1));
            length = (long)ReadVarint();
            _offset = offset + length;
        }

        _count++;
        return new TraceRecord(_micros, (NbdCommand)command, offset, length, flags, _connection);
    }

    private TraceConnection ReadConnection()
    {
        var number = (int)ReadVarint();
        var size = (long)ReadVarint();
        var flags = (NbdExportFlags)ReadVarint();
        var replies = (ReplyForm)ReadByte();
        var length = ReadVarint();
        if (length > NameBytesMax) throw new FormatException("damaged: an export's name is too long");

        var name = new byte[length];
        for (var at = 0; at < name.Length; at++) name[at] = (byte)ReadByte();
        return new TraceConnection(number, Encoding.UTF8.GetString(name), size, flags, replies);
    }

    private ulong ReadVarint()
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var part = ReadByte();
            value |= (ulong)(part & 0x7f) << shift;
            if (part < 0x80) return value;
        }

        throw new FormatException("damaged: a number of more than 64 bits");
    }

    private int ReadByte()
    {
        var value = stream.ReadByte();
        return value >= 0 ? value : throw new FormatException($"cut off after {_count} requests");
    }
}
