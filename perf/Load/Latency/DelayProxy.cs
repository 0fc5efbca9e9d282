using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace ZeroFlow.Perf.Latency;

/// <summary>
/// An HTTP/1.1 proxy in front of one server that answers later: bodies stream through as they come, in both
/// directions, and every response waits for a delay of its own before its first byte goes on. The delay comes on top of
/// the server's time, as the way to a distant server would. No byte is changed, so that signatures hold; connections
/// stay open as long as both sides keep them. Counts requests and bytes.
/// </summary>
internal sealed class DelayProxy : IDisposable
{
    // A client that pipelines more than this waits: clients of S3 do not pipeline at all.
    private const int PipelinedMax = 64;

    private readonly Socket _listener;
    private readonly EndPoint _target;
    private readonly LatencyLaw _law;

    /// <summary>Listens at once, on the loopback; port 0 takes any.</summary>
    /// <exception cref="SocketException">The port is taken.</exception>
    public DelayProxy(int port, EndPoint target, LatencyLaw law)
    {
        _target = target;
        _law = law;
        _listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        _listener.Listen(512);
    }

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public ProxyCounts Counts { get; } = new();

    /// <summary>Serves until it is told to stop.</summary>
    public Task RunAsync(CancellationToken stop) => AcceptLoop.RunAsync(_listener, ServeAsync, stop);

    public void Dispose() => _listener.Dispose();

    private async Task ServeAsync(Socket client, CancellationToken stop)
    {
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
        using (client)
        {
            try
            {
                client.NoDelay = true;
                await server.ConnectAsync(_target, ending.Token);
                var asked = Channel.CreateBounded<string>(PipelinedMax);
                var up = PassRequestsAsync(new HttpPipe(client, server), asked.Writer, ending.Token);
                var down = PassResponsesAsync(new HttpPipe(server, client), asked.Reader, ending.Token);

                // A client that ends waits for its answers, unless it broke off; a server that ends has none to come.
                await (await Task.WhenAny(up, down));
                await down;
                await ending.CancelAsync();
                await up;
            }
            catch (Exception exception) when (
                exception is IOException or SocketException or OperationCanceledException or FormatException)
            {
                // One side went away or does not speak HTTP: so does the connection.
                await ending.CancelAsync();
            }
        }
    }

    private async Task PassRequestsAsync(HttpPipe pipe, ChannelWriter<string> asked, CancellationToken stop)
    {
        while (await pipe.ReadHeadAsync(stop) is { } head)
        {
            Counts.CountRequest(head.Method);
            await asked.WriteAsync(head.Method, stop);
            await pipe.SendAsync(head.Bytes, stop);
            Counts.CountSent(
                head.IsChunked ? await pipe.CopyChunksAsync(stop) : await pipe.CopyAsync(head.Length ?? 0, stop));
        }

        pipe.EndSending();
    }

    private async Task PassResponsesAsync(HttpPipe pipe, ChannelReader<string> asked, CancellationToken stop)
    {
        // Read before it is known that something was asked: a server that hangs up while idle is noticed at once.
        while (await pipe.ReadHeadAsync(stop) is { } head)
        {
            if (head.Status is >= 100 and < 200)
            {
                // "100 Continue" asks for the body, whose answer is the one that counts.
                await pipe.SendAsync(head.Bytes, stop);
                continue;
            }

            if (!asked.TryRead(out var method)) throw new IOException("The server answered what nobody asked.");

            Counts.CountResponse(head.Status);
            var delay = _law.Next();
            if (delay > TimeSpan.Zero) await Task.Delay(delay, stop);
            await pipe.SendAsync(head.Bytes, stop);
            if (head.HasBody(method)) Counts.CountReceived(await PassBodyAsync(pipe, head, stop));
        }

        pipe.EndSending();
    }

    private static Task<long> PassBodyAsync(HttpPipe pipe, HttpHead head, CancellationToken stop)
    {
        if (head.IsChunked) return pipe.CopyChunksAsync(stop);
        return head.Length is { } length ? pipe.CopyAsync(length, stop) : pipe.CopyToEndAsync(stop);
    }
}
