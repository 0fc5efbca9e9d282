using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.FileSystems;

/// <summary>
/// Stands between a client and an NBD server, passes every byte on as it is, and keeps account of what the server answered:
/// whatever a file system above comes to, it tells whether the server has lost anything.
/// </summary>
internal sealed class Witness : IAsyncDisposable
{
    private readonly int _target;
    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Task, bool> _connections = new();
    private readonly Task _accepting;
    private volatile bool _isClosed;
    private TaskCompletionSource _served = NewSignal();

    public Witness(int target, long bytes)
    {
        _target = target;
        Image = new WitnessedImage(bytes);
        Port = FreePorts.Take();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    public WitnessedImage Image { get; }

    /// <summary>Refuses connections until <see cref="OpenAsync"/>.</summary>
    public void Close() => _isClosed = true;

    /// <summary>Lets clients in again. The task ends when one has come through to its requests.</summary>
    public Task OpenAsync()
    {
        var served = _served = NewSignal();
        _isClosed = false;
        return served.Task;
    }

    /// <summary>Compares all that a server which has come back holds. Needs a closed witness, whose server was killed.</summary>
    public async Task CheckAsync(string when)
    {
        Assert.True(_isClosed);
        await Task.WhenAll(_connections.Keys);
        await Image.CheckAllAsync(_target, "disk", when);
        Assert.Empty(Image.Contradictions);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections.Keys);
        _stop.Dispose();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stop.Token);
                var work = ServeAsync(client);
                _connections[work] = true;
                // One that failed stays, and fails whoever waits for all of them.
                _ = work.ContinueWith(
                    done => _connections.TryRemove(done, out _),
                    CancellationToken.None,
                    TaskContinuationOptions.OnlyOnRanToCompletion,
                    TaskScheduler.Default);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // It is closing.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        using var client = socket;
        if (_isClosed) return;
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.NoDelay = true;
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            return;
        }

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        await using var conversation = new Conversation(client, server, Image, () => _served.TrySetResult(), ended.Token);
        await Task.WhenAny(conversation.PassRequestsAsync(), conversation.PassRepliesAsync());
        await ended.CancelAsync();
    }

    private sealed class Conversation(
        Socket client, Socket server, WitnessedImage image, Action onServed, CancellationToken end) : IAsyncDisposable
    {
        private const uint Go = 7;
        private const uint Acknowledged = 1;
        private const uint ErrorBit = 1u << 31;
        private const uint SimpleReply = 0x67446698;
        private const uint StructuredReply = 0x668e33ef;
        private const ushort Done = 1;
        private const ushort OffsetData = 1;
        private const ushort OffsetHole = 2;
        private const ushort ChunkErrorBit = 1 << 15;

        private readonly NetworkStream _client = new(client);
        private readonly NetworkStream _server = new(server);
        private readonly ConcurrentDictionary<ulong, WitnessedRequest> _requests = new();
        private readonly Channel<bool> _goes = Channel.CreateUnbounded<bool>();
        private Task _passingRequests = Task.CompletedTask;
        private Task _passingReplies = Task.CompletedTask;

        public Task PassRequestsAsync() => _passingRequests = UntilLostAsync(RequestsAsync);

        public Task PassRepliesAsync() => _passingReplies = UntilLostAsync(RepliesAsync);

        public async ValueTask DisposeAsync()
        {
            await Task.WhenAll(_passingRequests, _passingReplies);
            foreach (var request in _requests.Values) image.Lose(request);
            await _client.DisposeAsync();
            await _server.DisposeAsync();
        }

        private static async Task UntilLostAsync(Func<Task> pass)
        {
            try
            {
                await pass();
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // One of the two went away.
            }
        }

        private async Task RequestsAsync()
        {
            await _server.WriteAsync(await ReadAsync(_client, 4), end);
            for (var isGone = false; !isGone;)
            {
                var option = await ReadAsync(_client, 16, lengthAt: 12);
                await _server.WriteAsync(option, end);
                if (Number(option, 8) == Go) isGone = await _goes.Reader.ReadAsync(end);
            }

            onServed();
            while (true)
            {
                var header = await ReadAsync(_client, 28);
                var command = (NbdCommand)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
                var length = (int)Number(header, 24);
                var data = command == NbdCommand.Write ? await ReadAsync(_client, length) : [];
                var request = new WitnessedRequest(
                    command, BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(16)), length, data);
                if (command != NbdCommand.Disconnect)
                {
                    image.Begin(request);
                    _requests[BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8))] = request;
                }

                await _server.WriteAsync(header, end);
                await _server.WriteAsync(data, end);
            }
        }

        private async Task RepliesAsync()
        {
            await _client.WriteAsync(await ReadAsync(_server, 18), end);
            for (var isGone = false; !isGone;)
            {
                var reply = await ReadAsync(_server, 20, lengthAt: 16);
                var type = Number(reply, 12);
                isGone = Number(reply, 8) == Go && type == Acknowledged;
                if (isGone || (Number(reply, 8) == Go && type >= ErrorBit)) _goes.Writer.TryWrite(isGone);
                await _client.WriteAsync(reply, end);
            }

            while (true)
            {
                var magic = await ReadAsync(_server, 4);
                var reply = Number(magic, 0) switch
                {
                    SimpleReply => await SimpleAsync(),
                    StructuredReply => await ChunkAsync(),
                    var other => throw new InvalidDataException($"A reply begins with {other:x8}."),
                };
                await _client.WriteAsync(magic, end);
                await _client.WriteAsync(reply, end);
            }
        }

        private async Task<byte[]> SimpleAsync()
        {
            var reply = await ReadAsync(_server, 12);
            var cookie = BinaryPrimitives.ReadUInt64BigEndian(reply.AsSpan(4));
            var request = _requests[cookie];
            var succeeded = Number(reply, 0) == 0;
            if (succeeded && request.Command == NbdCommand.Read)
            {
                reply = [.. reply, .. await ReadAsync(_server, request.Length)];
                image.Check(request, request.Offset, reply.AsSpan(12));
            }

            Answered(cookie, succeeded);
            return reply;
        }

        private async Task<byte[]> ChunkAsync()
        {
            var chunk = await ReadAsync(_server, 16, lengthAt: 12);
            var flags = BinaryPrimitives.ReadUInt16BigEndian(chunk);
            var type = BinaryPrimitives.ReadUInt16BigEndian(chunk.AsSpan(2));
            var cookie = BinaryPrimitives.ReadUInt64BigEndian(chunk.AsSpan(4));
            if (type == OffsetData) image.Check(_requests[cookie], Offset(chunk), chunk.AsSpan(24));
            if (type == OffsetHole) image.Check(_requests[cookie], Offset(chunk), new byte[Number(chunk, 24)]);
            if ((flags & Done) != 0) Answered(cookie, (type & ChunkErrorBit) == 0);
            return chunk;
        }

        private void Answered(ulong cookie, bool succeeded)
        {
            if (_requests.TryRemove(cookie, out var request)) image.Complete(request, succeeded);
        }

        private static long Offset(byte[] chunk) => BinaryPrimitives.ReadInt64BigEndian(chunk.AsSpan(16));

        private static uint Number(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at));

        // A header, and the data behind it whose length it carries.
        private async Task<byte[]> ReadAsync(NetworkStream stream, int count, int? lengthAt = null)
        {
            var bytes = new byte[count];
            await stream.ReadExactlyAsync(bytes, end);
            if (lengthAt is not { } at) return bytes;
            var data = new byte[Number(bytes, at)];
            await stream.ReadExactlyAsync(data, end);
            return [.. bytes, .. data];
        }
    }
}
