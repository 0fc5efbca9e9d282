using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Faults;

/// <summary>
/// Stands in front of a real S3 server and fails as networks and services do. Requests pass byte for byte, so that
/// signatures hold. Counts what it did.
/// </summary>
internal sealed class S3Proxy : IAsyncDisposable
{
    private readonly TcpListener _listener;
    private readonly int _target;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Task, bool> _connections = new();
    private readonly ConcurrentDictionary<S3Fault, int> _counts = new();
    private readonly Task _accepting;

    public S3Proxy(int target)
    {
        _target = target;
        Port = FreePorts.Take();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start(256);
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>Decides about every request. Replace it at any time.</summary>
    public Func<HttpMessage, S3Fault> Choose { get; set; } = _ => S3Fault.None;

    /// <summary>Time that every request waits before anything is done with it.</summary>
    public TimeSpan Latency { get; set; }

    /// <summary>Bytes a second that pass a connection in either direction; zero is no limit.</summary>
    public int Bandwidth { get; set; }

    /// <summary>How long after the reset a <see cref="S3Fault.Late"/> request takes effect.</summary>
    public TimeSpan Lateness { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Requests that met the given fate.</summary>
    public int Count(S3Fault fault) => _counts.GetValueOrDefault(fault);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections.Keys);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptSocketAsync(_stop.Token);
                Track(ServeAsync(client));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // The proxy is closing.
        }
    }

    private void Track(Task work)
    {
        _connections[work] = true;
        _ = work.ContinueWith(done => _connections.TryRemove(done, out _), TaskScheduler.Default);
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            await using var near = new NetworkStream(client, ownsSocket: true);
            await using var buffered = new BufferedStream(near, 64 * 1024);
            using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            client.NoDelay = true;
            await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
            await using var far = new BufferedStream(new NetworkStream(server), 64 * 1024);
            while (await HttpMessage.ReadRequestAsync(buffered, _stop.Token) is { } request)
            {
                if (Latency > TimeSpan.Zero) await Task.Delay(Latency, _stop.Token);
                var fault = Choose(request);
                _counts.AddOrUpdate(fault, 1, (_, count) => count + 1);
                if (!await AnswerAsync(request, fault, buffered, far))
                {
                    // A reset: what is under way in either direction is thrown away.
                    if (fault is S3Fault.RequestCut or S3Fault.Late) client.LingerState = server.LingerState = new(true, 0);
                    return;
                }

                await buffered.FlushAsync(_stop.Token);
            }
        }
        catch (Exception e) when (
            e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // One side went away: so does the connection.
        }
    }

    // Returns whether the connection lives on.
    private async Task<bool> AnswerAsync(HttpMessage request, S3Fault fault, Stream near, Stream far)
    {
        switch (fault)
        {
            case S3Fault.InternalError:
                return await RefuseAsync(near, request, "500 Internal Server Error", "InternalError");
            case S3Fault.SlowDown:
                return await RefuseAsync(near, request, "503 Slow Down", "SlowDown");
            case S3Fault.Denied:
                return await RefuseAsync(near, request, "403 Forbidden", "AccessDenied");
            case S3Fault.Refused:
                return false;
            case S3Fault.RequestCut:
                await far.WriteAsync(request.HeadBytes, _stop.Token);
                await far.WriteAsync(request.Body.AsMemory(0, request.Body.Length / 2), _stop.Token);
                await far.FlushAsync(_stop.Token);
                return false;
            case S3Fault.Late:
                Track(ForwardLateAsync(request));
                return false;
            case S3Fault.Silent:
                await ClosedByAsync(near);
                return false;
            case S3Fault.Stalled:
                await PassBackAsync(near, await ForwardAsync(request, far), cut: true);
                await ClosedByAsync(near);
                return false;
            default:
                var response = await ForwardAsync(request, far);
                return fault != S3Fault.ReplyLost && await PassBackAsync(near, response, fault == S3Fault.ShortBody);
        }
    }

    // As a request does that was stuck in some queue: nobody waits for its answer.
    private async Task ForwardLateAsync(HttpMessage request)
    {
        try
        {
            await Task.Delay(Lateness, _stop.Token);
            using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
            await using var far = new BufferedStream(new NetworkStream(server), 64 * 1024);
            await ForwardAsync(request, far);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // Then it never takes effect.
        }
    }

    // Waits until the client gives up.
    private async Task ClosedByAsync(Stream near)
    {
        var one = new byte[1];
        while (await near.ReadAsync(one, _stop.Token) > 0)
        {
        }
    }

    private async Task<HttpMessage> ForwardAsync(HttpMessage request, Stream far)
    {
        await far.WriteAsync(request.HeadBytes, _stop.Token);
        await PassAsync(far, request.Body);
        await far.FlushAsync(_stop.Token);
        return await HttpMessage.ReadResponseAsync(far, request.Method, _stop.Token);
    }

    private async Task<bool> PassBackAsync(Stream near, HttpMessage response, bool cut)
    {
        await near.WriteAsync(response.HeadBytes, _stop.Token);
        var length = cut ? response.Body.Length / 2 : response.Body.Length;
        await PassAsync(near, response.Body.AsMemory(0, length));
        if (cut) await near.FlushAsync(_stop.Token);
        return !cut;
    }

    private async Task PassAsync(Stream to, ReadOnlyMemory<byte> body)
    {
        const int Piece = 64 * 1024;
        for (var at = 0; at < body.Length; at += Piece)
        {
            var length = Math.Min(Piece, body.Length - at);
            await to.WriteAsync(body.Slice(at, length), _stop.Token);
            if (Bandwidth > 0) await Task.Delay(TimeSpan.FromSeconds((double)length / Bandwidth), _stop.Token);
        }
    }

    private async Task<bool> RefuseAsync(Stream near, HttpMessage request, string status, string code)
    {
        var body = $"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>";
        var head = $"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {body.Length}\r\n\r\n";
        await near.WriteAsync(Encoding.ASCII.GetBytes(request.Method == "HEAD" ? head : head + body), _stop.Token);
        return true;
    }
}
