using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// What was received and not yet parsed. Many small messages come out of one receive; a large payload goes from the
/// transport straight to where it belongs. Used by one thread. Borrows the lease it works in.
/// </summary>
internal sealed class ReceiveBuffer(IWireTransport transport, BufferLease lease)
{
    private readonly byte[] _array = lease.Array;
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
            int received = transport.Receive(_array.AsSpan(_end));
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

    /// <summary>Blocks until the whole of <paramref name="destination"/> is filled; false when the stream ends before.</summary>
    public bool ReadInto(Span<byte> destination)
    {
        int buffered = Math.Min(destination.Length, _end - _start);
        _array.AsSpan(_start, buffered).CopyTo(destination);
        Consume(buffered);
        destination = destination[buffered..];
        while (!destination.IsEmpty)
        {
            int received = transport.Receive(destination);
            if (received == 0) return false;
            destination = destination[received..];
        }

        return true;
    }

    /// <summary>Blocks until <paramref name="count"/> bytes have come and are forgotten; false when the stream ends before.</summary>
    public bool Skip(long count)
    {
        int buffered = (int)Math.Min(count, _end - _start);
        Consume(buffered);
        count -= buffered;
        while (count > 0)
        {
            int received = transport.Receive(_array.AsSpan(0, (int)Math.Min(count, _array.Length)));
            if (received == 0) return false;
            count -= received;
        }

        return true;
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
