using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace ZeroFlow.SystemTests.Wire;

internal enum NbdCommand : ushort
{
    Read = 0,
    Write = 1,
    Disconnect = 2,
    Flush = 3,
    Trim = 4,
    WriteZeroes = 6,
}

/// <summary>
/// A client of its own, written from the protocol's text: many requests in flight, simple replies. Thread-safe.
/// A lost connection fails every request in flight with <see cref="IOException"/>.
/// </summary>
internal sealed class NbdClient : IAsyncDisposable
{
    private const ulong HandshakeMagic = 0x4e42444d41474943;
    private const ulong OptionMagic = 0x49484156454f5054;
    private const ulong OptionReplyMagic = 0x3e889045565a9;
    private const uint RequestMagic = 0x25609513;
    private const uint SimpleReplyMagic = 0x67446698;
    private const uint OptionGo = 7;
    private const uint ReplyAck = 1;
    private const uint ReplyInfo = 3;
    private const ushort ForceUnitAccess = 1;

    private readonly NetworkStream _stream;
    private readonly SemaphoreSlim _sending = new(1);
    private readonly ConcurrentDictionary<ulong, Request> _inFlight = new();
    private Task _receiving = Task.CompletedTask;
    private IOException? _lost;
    private long _cookie;

    private NbdClient(NetworkStream stream) => _stream = stream;

    /// <summary>Size of the export.</summary>
    public long Bytes { get; private set; }

    public static async Task<NbdClient> ConnectAsync(int port, string export)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port);
            var client = new NbdClient(new NetworkStream(socket, ownsSocket: true));
            await client.HandshakeAsync(export);
            client._receiving = client.ReceiveAsync();
            return client;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"No connection to port {port}: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public Task ReadAsync(long offset, Memory<byte> into) =>
        SendAsync(NbdCommand.Read, 0, offset, into.Length, default, into);

    public Task WriteAsync(long offset, ReadOnlyMemory<byte> data, bool durable = false) =>
        SendAsync(NbdCommand.Write, durable, offset, data.Length, data);

    public Task TrimAsync(long offset, int length, bool durable = false) =>
        SendAsync(NbdCommand.Trim, durable, offset, length, default);

    public Task WriteZeroesAsync(long offset, int length, bool durable = false) =>
        SendAsync(NbdCommand.WriteZeroes, durable, offset, length, default);

    public Task FlushAsync() => SendAsync(NbdCommand.Flush, false, 0, 0, default);

    /// <summary>Says goodbye as the protocol wants it.</summary>
    public async Task DisconnectAsync()
    {
        await SendHeaderAsync(NbdCommand.Disconnect, 0, 0, 0, 0, default);
        await _receiving;
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        await _receiving;
        _sending.Dispose();
    }

    private Task SendAsync(NbdCommand command, bool durable, long offset, int length, ReadOnlyMemory<byte> payload) =>
        SendAsync(command, durable ? ForceUnitAccess : (ushort)0, offset, length, payload, default);

    private async Task SendAsync(
        NbdCommand command, ushort flags, long offset, int length, ReadOnlyMemory<byte> payload, Memory<byte> answer)
    {
        var cookie = (ulong)Interlocked.Increment(ref _cookie);
        var request = new Request($"{command} of {length} bytes at {offset}", answer);
        _inFlight[cookie] = request;
        if (_lost is { } lost) throw new IOException(lost.Message, lost);
        await SendHeaderAsync(command, flags, cookie, offset, length, payload);
        await request.Done.Task;
    }

    private async Task SendHeaderAsync(
        NbdCommand command, ushort flags, ulong cookie, long offset, int length, ReadOnlyMemory<byte> payload)
    {
        var header = new byte[28];
        BinaryPrimitives.WriteUInt32BigEndian(header, RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(4), flags);
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(6), (ushort)command);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(8), cookie);
        BinaryPrimitives.WriteInt64BigEndian(header.AsSpan(16), offset);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(24), length);
        await _sending.WaitAsync();
        try
        {
            await _stream.WriteAsync(header);
            if (!payload.IsEmpty) await _stream.WriteAsync(payload);
        }
        catch (ObjectDisposedException e)
        {
            throw new IOException("The connection is closed.", e);
        }
        finally
        {
            _sending.Release();
        }
    }

    private async Task ReceiveAsync()
    {
        try
        {
            var header = new byte[16];
            while (true)
            {
                await _stream.ReadExactlyAsync(header);
                if (BinaryPrimitives.ReadUInt32BigEndian(header) != SimpleReplyMagic)
                {
                    throw new IOException("Not a simple reply.");
                }

                var code = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(4));
                var cookie = BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8));
                if (!_inFlight.TryRemove(cookie, out var request))
                {
                    throw new IOException($"A reply to nothing: {cookie:x}.");
                }

                try
                {
                    if (code == 0 && !request.Answer.IsEmpty) await _stream.ReadExactlyAsync(request.Answer);
                }
                catch (Exception e) when (e is IOException or ObjectDisposedException)
                {
                    // It is not in flight any more: nobody else would tell its sender.
                    request.Done.TrySetException(new IOException($"The connection ended: {e.Message}", e));
                    throw;
                }

                if (code == 0) request.Done.TrySetResult();
                else request.Done.TrySetException(
                    new NbdException($"{request.What}: the server answered error {code}.", code));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _lost = new IOException($"The connection ended: {e.Message}", e);
            foreach (var request in _inFlight.Values) request.Done.TrySetException(_lost);
        }
    }

    private async Task HandshakeAsync(string export)
    {
        var greeting = await ReadAsync(18);
        if (BinaryPrimitives.ReadUInt64BigEndian(greeting) != HandshakeMagic
            || BinaryPrimitives.ReadUInt64BigEndian(greeting.AsSpan(8)) != OptionMagic)
        {
            throw new IOException("The server does not speak the fixed newstyle handshake.");
        }

        var name = Encoding.UTF8.GetBytes(export);
        var hello = new byte[4 + 16 + 4 + name.Length + 2];
        BinaryPrimitives.WriteUInt32BigEndian(hello, 3);
        BinaryPrimitives.WriteUInt64BigEndian(hello.AsSpan(4), OptionMagic);
        BinaryPrimitives.WriteUInt32BigEndian(hello.AsSpan(12), OptionGo);
        BinaryPrimitives.WriteInt32BigEndian(hello.AsSpan(16), name.Length + 6);
        BinaryPrimitives.WriteInt32BigEndian(hello.AsSpan(20), name.Length);
        name.CopyTo(hello, 24);
        await _stream.WriteAsync(hello);
        while (await OptionReplyAsync(export) != ReplyAck)
        {
        }
    }

    private async Task<uint> OptionReplyAsync(string export)
    {
        var header = await ReadAsync(20);
        if (BinaryPrimitives.ReadUInt64BigEndian(header) != OptionReplyMagic)
        {
            throw new IOException("Not an option reply.");
        }

        var type = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12));
        var data = await ReadAsync(BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(16)));
        if (type >= 1u << 31)
        {
            throw new NbdException($"The server refuses {export}: {Encoding.UTF8.GetString(data)}", type);
        }

        if (type == ReplyInfo && BinaryPrimitives.ReadUInt16BigEndian(data) == 0)
        {
            Bytes = BinaryPrimitives.ReadInt64BigEndian(data.AsSpan(2));
        }

        return type;
    }

    private async Task<byte[]> ReadAsync(int count)
    {
        var bytes = new byte[count];
        await _stream.ReadExactlyAsync(bytes);
        return bytes;
    }

    private sealed record Request(string What, Memory<byte> Answer)
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
