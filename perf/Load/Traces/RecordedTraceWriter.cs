using System.Buffers.Binary;
using System.Text;
using static ZeroFlow.Perf.Traces.RecordedTraceFormat;

namespace ZeroFlow.Perf.Traces;

/// <summary>Writes a trace in the recorder's own format, <see cref="RecordedTraceFormat"/>.</summary>
internal sealed class RecordedTraceWriter : ITraceSink
{
    private readonly BufferedStream _stream;
    private long _micros;
    private long _offset;
    private int _connection;
    private long _count;

    /// <summary>Takes ownership of <paramref name="stream"/>.</summary>
    public RecordedTraceWriter(Stream stream, DateTimeOffset begun)
    {
        _stream = new BufferedStream(stream, 64 * 1024);
        Span<byte> header = stackalloc byte[HeaderBytes];
        Magic.CopyTo(header);
        header[Magic.Length] = RecordedTraceFormat.Version;
        var micros = (begun - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], micros);
        _stream.Write(header);
    }

    /// <inheritdoc/>
    public void Connect(TraceConnection connection)
    {
        var name = Encoding.UTF8.GetBytes(connection.Export);
        _stream.WriteByte(ConnectionKind);
        WriteVarint((ulong)connection.Connection);
        WriteVarint((ulong)connection.SizeBytes);
        WriteVarint((ulong)connection.Flags);
        _stream.WriteByte((byte)connection.Replies);
        WriteVarint((ulong)name.Length);
        _stream.Write(name);
    }

    /// <inheritdoc/>
    public void Add(in TraceRecord record)
    {
        var command = (int)record.Command;
        if (command > CommandMax) return;

        var tag = command;
        if (record.Connection != _connection) tag |= ConnectionBit;
        if (record.Flags != 0) tag |= FlagsBit;
        _stream.WriteByte((byte)tag);

        // Two threads may read the clock and enter in the other order: time does not run backwards in a file.
        WriteVarint((ulong)Math.Max(0, record.Micros - _micros));
        _micros = Math.Max(_micros, record.Micros);
        if ((tag & ConnectionBit) != 0) WriteVarint((ulong)record.Connection);
        _connection = record.Connection;
        if ((tag & FlagsBit) != 0) WriteVarint((ulong)record.Flags);
        if (HasRange(command))
        {
            var step = record.Offset - _offset;
            WriteVarint((ulong)((step << 1) ^ (step >> 63)));
            WriteVarint((ulong)record.Length);
            _offset = record.Offset + record.Length;
        }

        _count++;
    }

    public void Dispose()
    {
        _stream.WriteByte(EndKind);
        WriteVarint((ulong)_count);
        _stream.Dispose();
    }

    private void WriteVarint(ulong value)
    {
        for (; value >= 0x80; value >>= 7) _stream.WriteByte((byte)(value | 0x80));
        _stream.WriteByte((byte)value);
    }
}
