using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace ZeroFlow.Perf.Latency;

/// <summary>
/// One direction of an HTTP connection: takes heads off the incoming side and passes bodies on as they come. Never
/// keeps a body, never changes a byte. One caller at a time.
/// </summary>
internal sealed class HttpPipe(Socket from, Socket to)
{
    private const int BufferBytes = 128 * 1024;
    private const int HeadBytesMax = 64 * 1024;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private int _start;
    private int _end;

    /// <summary>The next head, which is not passed on yet; null when the sender has ended between messages.</summary>
    /// <exception cref="IOException">It ended within the head, or the head has no end.</exception>
    public async ValueTask<HttpHead?> ReadHeadAsync(CancellationToken stop)
    {
        while (true)
        {
            var length = _buffer.AsSpan(_start, _end - _start).IndexOf("\r\n\r\n"u8);
            if (length >= 0)
            {
                var head = _buffer[_start..(_start + length + 4)];
                _start += head.Length;
                return new HttpHead(head);
            }

            var held = _end - _start;
            if (held > HeadBytesMax) throw new IOException("A head of HTTP has no end.");
            if (await ReceiveAsync(stop)) continue;
            return held == 0 ? null : throw new IOException("A head of HTTP was cut off.");
        }
    }

    public Task SendAsync(byte[] bytes, CancellationToken stop) => SendAsync(bytes.AsMemory(), stop);

    /// <summary>Passes on a body of a known length; returns its bytes.</summary>
    public async Task<long> CopyAsync(long length, CancellationToken stop)
    {
        for (var left = length; left > 0;)
        {
            if (_start == _end && !await ReceiveAsync(stop)) throw new IOException("A body of HTTP was cut off.");
            var part = (int)Math.Min(left, _end - _start);
            await SendAsync(_buffer.AsMemory(_start, part), stop);
            _start += part;
            left -= part;
        }

        return length;
    }

    /// <summary>Passes on a body in chunks, sizes and all; returns the bytes of the chunks.</summary>
    public async Task<long> CopyChunksAsync(CancellationToken stop)
    {
        for (var total = 0L; ;)
        {
            var line = await CopyLineAsync(stop);
            var size = long.Parse(line.Split(';')[0].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            total += size;
            if (size > 0)
            {
                await CopyAsync(size + 2, stop);
                continue;
            }

            // Trailers, up to an empty line.
            while ((await CopyLineAsync(stop)).Length > 2)
            {
            }

            return total;
        }
    }

    /// <summary>Passes on whatever comes until the sender ends; returns its bytes.</summary>
    public async Task<long> CopyToEndAsync(CancellationToken stop)
    {
        var total = 0L;
        while (_start < _end || await ReceiveAsync(stop))
        {
            total += _end - _start;
            await SendAsync(_buffer.AsMemory(_start, _end - _start), stop);
            _start = _end;
        }

        return total;
    }

    /// <summary>Tells the receiver that nothing follows.</summary>
    public void EndSending() => to.Shutdown(SocketShutdown.Send);

    private async Task<string> CopyLineAsync(CancellationToken stop)
    {
        while (true)
        {
            var length = _buffer.AsSpan(_start, _end - _start).IndexOf((byte)'\n') + 1;
            if (length > 0)
            {
                var line = Encoding.Latin1.GetString(_buffer, _start, length);
                await SendAsync(_buffer.AsMemory(_start, length), stop);
                _start += length;
                return line;
            }

            if (_end - _start > HeadBytesMax || !await ReceiveAsync(stop))
                throw new IOException("A body of HTTP in chunks was cut off.");
        }
    }

    // What is held moves to the front; there is always room, since heads and lines are shorter than the buffer.
    private async ValueTask<bool> ReceiveAsync(CancellationToken stop)
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        var count = await from.ReceiveAsync(_buffer.AsMemory(_end), stop);
        _end += count;
        return count > 0;
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken stop)
    {
        while (!bytes.IsEmpty) bytes = bytes[await to.SendAsync(bytes, stop)..];
    }
}
