using System.Net.Sockets;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Recording;

/// <summary>
/// Stands between NBD clients and a server and writes down what is asked. Every byte goes through as it came, in both
/// directions; a connection that cannot be understood is passed on without being recorded.
/// </summary>
internal sealed class RecordingProxy : IDisposable
{
    // A request of 128 KiB with its header in one call, as clients send them.
    private const int BufferBytes = 256 * 1024;

    private readonly Socket _listener;
    private readonly NbdUri _target;
    private readonly TraceRecorder _recorder;
    private readonly TextWriter _log;

    /// <summary>Listens at once. The export in <paramref name="target"/> is not used: clients name theirs.</summary>
    /// <exception cref="SocketException">The address is taken.</exception>
    public RecordingProxy(NbdUri listen, NbdUri target, TraceRecorder recorder, TextWriter log)
    {
        _target = target;
        _recorder = recorder;
        _log = log;
        _listener = listen.NewSocket();
        _listener.Bind(listen.EndPoint());
        _listener.Listen(64);
        LocalPort = (_listener.LocalEndPoint as System.Net.IPEndPoint)?.Port ?? 0;
    }

    /// <summary>The port that was bound, also when any was asked for; 0 for a Unix socket.</summary>
    public int LocalPort { get; }

    /// <summary>Serves until it is told to stop; then closes the connections that are left.</summary>
    public Task RunAsync(CancellationToken stop) => AcceptLoop.RunAsync(_listener, ServeAsync, stop);

    public void Dispose() => _listener.Dispose();

    private async Task ServeAsync(Socket client, CancellationToken stop)
    {
        var watcher = _recorder.Watch();
        using var server = _target.NewSocket();
        using (client)
        {
            try
            {
                if (client.ProtocolType == ProtocolType.Tcp) client.NoDelay = true;
                await server.ConnectAsync(_target.EndPoint(), stop);
                var up = PumpAsync(client, server, watcher.ClientSent, stop);
                var down = PumpAsync(server, client, watcher.ServerSent, stop);
                await (await Task.WhenAny(up, down));
                await Task.WhenAll(up, down);
            }
            catch (Exception exception) when (exception is SocketException or OperationCanceledException)
            {
                // One side broke off or the recording ends: closing both sockets tells the other side.
                if (exception is SocketException) await _log.WriteLineAsync($"A connection ended: {exception.Message}");
            }
        }

        if (watcher.Lost is { } why) await _log.WriteLineAsync($"A connection was not recorded to its end: {why}.");
    }

    private static async Task PumpAsync(Socket from, Socket to, FrameHandler watch, CancellationToken stop)
    {
        var buffer = new byte[BufferBytes];
        while (await from.ReceiveAsync(buffer, stop) is > 0 and var count)
        {
            watch(buffer.AsSpan(0, count));
            for (var sent = 0; sent < count;) sent += await to.SendAsync(buffer.AsMemory(sent, count - sent), stop);
        }

        to.Shutdown(SocketShutdown.Send);
    }
}
