namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// The sealed side of a <see cref="TlsTransport"/>: what its TLS engine reads from and writes to. Once the handshake is
/// over, what is written gathers here, so that the records of many replies leave in one system call.
/// </summary>
/// <param name="socket">Where sealed bytes come from and go to.</param>
/// <param name="buffer">Where they gather; borrowed.</param>
internal sealed class TlsWire(SocketTransport socket, Memory<byte> buffer) : Stream
{
    private int _used;

    /// <summary>Whether what is written waits for <see cref="SendGathered"/>.</summary>
    public bool Gathers { get; set; }

    /// <summary>For the next read: the rest of a message that has begun.</summary>
    public bool IsExpected { get; set; }

    /// <summary>What was written and not sent.</summary>
    public ReadOnlySpan<byte> Gathered => buffer.Span[.._used];

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> destination)
    {
        int received = socket.Receive(destination, IsExpected);

        // The engine asks again only when it needs the rest of a record.
        IsExpected = true;
        return received;
    }

    public override int Read(byte[] destination, int offset, int count) => Read(destination.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> bytes)
    {
        if (TryGather(bytes)) return;
        SendGathered();
        if (!TryGather(bytes)) socket.Send(bytes);
    }

    public override void Write(byte[] bytes, int offset, int count) => Write(bytes.AsSpan(offset, count));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation = default) =>
        TryGather(bytes.Span) ? ValueTask.CompletedTask : MakeRoomAsync(bytes);

    public override Task WriteAsync(byte[] bytes, int offset, int count, CancellationToken cancellation) =>
        WriteAsync(bytes.AsMemory(offset, count), cancellation).AsTask();

    /// <summary>Blocks until everything that was written is handed to the system.</summary>
    public void SendGathered()
    {
        socket.Send(Gathered);
        _used = 0;
    }

    /// <summary>Hands everything that was written to the system, waiting without a thread.</summary>
    public ValueTask SendGatheredAsync()
    {
        ReadOnlyMemory<byte> gathered = buffer[.._used];
        _used = 0;
        return socket.SendAsync(gathered);
    }

    // The engine flushes behind every record; the owner knows better when there is nothing to wait for.
    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellation) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private bool TryGather(ReadOnlySpan<byte> bytes)
    {
        if (!Gathers || bytes.Length > buffer.Length - _used) return false;
        bytes.CopyTo(buffer.Span[_used..]);
        _used += bytes.Length;
        return true;
    }

    private async ValueTask MakeRoomAsync(ReadOnlyMemory<byte> bytes)
    {
        await SendGatheredAsync();
        if (!TryGather(bytes.Span)) await socket.SendAsync(bytes);
    }
}
