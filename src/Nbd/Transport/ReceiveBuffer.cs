using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// What was received and not yet parsed. Many small messages come out of one receive; a large payload goes from the
/// transport straight to where it belongs. Used by one thread. Borrows the lease it works in.
/// </summary>
internal sealed class ReceiveBuffer(IWireTransport transport, BufferLease lease)
{
    // A payload of which this much is still to come is received into its place. While such payloads follow each other,
    // receiving little ahead of the next header leaves nearly all of the next payload to be received in place, too.
    private const int StreamedBytesMin = 32 * 1024;
    private const int StreamedAheadBytes = 1024;

    private readonly byte[] _array = lease.Array;
    private IWireTransport _transport = transport;
    private bool _isStreaming;
    private int _start;
    private int _end;

    /// <summary>The bytes that are there.</summary>
    public ReadOnlySpan<byte> Unread => new(_array, _start, _end - _start);

    /// <summary>Blocks until <paramref name="count"/> bytes are there; false when the stream ends before.</summary>
    public bool Fill(int count)
    {
        if (_end - _start < count) Compact();
        while (_end - _start < count)
        {
            Span<byte> free = _array.AsSpan(_end);
            if (_isStreaming && count <= StreamedAheadBytes) free = free[..Math.Min(free.Length, StreamedAheadBytes)];
            int received = _transport.Receive(free, isExpected: false);
            if (received == 0) return false;
            _end += received;
        }

        return true;
    }

    /// <summary>Marks <paramref name="count"/> bytes as parsed.</summary>
    public void Consume(int count)
    {
        _start += count;
        if (_start == _end) _start = _end = 0;
    }

    /// <summary>
    /// Blocks until the whole of <paramref name="destination"/> is filled; false when the stream ends before.
    /// </summary>
    public bool ReadInto(Span<byte> destination)
    {
        int buffered = Math.Min(destination.Length, _end - _start);
        _array.AsSpan(_start, buffered).CopyTo(destination);
        Consume(buffered);
        destination = destination[buffered..];
        _isStreaming = destination.Length >= StreamedBytesMin;
        while (!destination.IsEmpty)
        {
            int received = _transport.Receive(destination, isExpected: true);
            if (received == 0) return false;
            destination = destination[received..];
        }

        return true;
    }

    /// <summary>
    /// Blocks until <paramref name="count"/> bytes have come and are forgotten; false when the stream ends before.
    /// </summary>
    public bool Skip(long count)
    {
        int buffered = (int)Math.Min(count, _end - _start);
        Consume(buffered);
        count -= buffered;
        while (count > 0)
        {
            int received = _transport.Receive(
                _array.AsSpan(0, (int)Math.Min(count, _array.Length)), isExpected: true);
            if (received == 0) return false;
            count -= received;
        }

        return true;
    }

    /// <summary>Receives from <paramref name="next"/> from now on. What was received before must be parsed.</summary>
    public void ContinueOn(IWireTransport next)
    {
        if (_start != _end) throw new InvalidOperationException("Bytes of one transport would be taken for another's.");
        _transport = next;
    }

    private void Compact()
    {
        // What is left is less than one message, and the next receive gets the whole rest of the buffer.
        if (_start == 0) return;
        Unread.CopyTo(_array);
        _end -= _start;
        _start = 0;
    }
}
