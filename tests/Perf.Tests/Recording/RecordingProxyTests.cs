using System.Net;
using System.Net.Sockets;
using ZeroFlow.Perf.Recording;
using static ZeroFlow.Perf.Tests.Recording.NbdBytes;

namespace ZeroFlow.Perf.Tests.Recording;

// Whatever two sides say to each other arrives byte for byte, understood or not, and hanging up is passed on.
public sealed class RecordingProxyTests : IDisposable
{
    private readonly TcpListener _server = new(IPAddress.Loopback, 0);
    private readonly MemoryStream _trace = new();

    public RecordingProxyTests() => _server.Start();

    public void Dispose()
    {
        _server.Dispose();
        _trace.Dispose();
    }

    [Fact]
    public async Task A_conversation_passes_unchanged_and_is_recorded()
    {
        byte[] up =
        [
            .. U32(3), .. Go("disk"), .. Request(1, 1, 0, 300_000, 300_000), .. Request(0, 3, 0, 0),
            .. Request(0, 2, 0, 0),
        ];
        byte[] down = [.. Greeting(), .. ExportInfo(1 << 20, 5), .. Reply(7, 1, []), .. new byte[500_000]];
        await TalkAsync(up, down);

        var trace = new RecordedTrace(new MemoryStream(_trace.ToArray()));
        Assert.Equal(
            [NbdCommand.Write, NbdCommand.Flush, NbdCommand.Disconnect], trace.Read().Select(record => record.Command));
        Assert.Equal("disk", Assert.Single(trace.Connections).Export);
    }

    [Fact]
    public async Task What_is_not_NBD_passes_as_well()
    {
        var noise = new byte[400_000];
        new Random(3).NextBytes(noise);
        await TalkAsync(noise, noise);
        Assert.Empty(new RecordedTrace(new MemoryStream(_trace.ToArray())).Read());
    }

    private async Task TalkAsync(byte[] up, byte[] down)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var port = ((IPEndPoint)_server.LocalEndpoint).Port;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using (var sink = new RecordedTraceWriter(_trace, DateTimeOffset.UnixEpoch))
        {
            using var proxy = new RecordingProxy(
                new NbdUri("127.0.0.1", 0, null, ""), new NbdUri("127.0.0.1", port, null, ""), new TraceRecorder(sink),
                TextWriter.Null);
            var running = proxy.RunAsync(stop.Token);
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, proxy.LocalPort, cancellation);
            using var accepted = await _server.AcceptTcpClientAsync(cancellation);
            var (near, far) = (client.GetStream(), accepted.GetStream());

            // The server speaks first and answers what it has read; then both at once, and both hang up in the end.
            await far.WriteAsync(down.AsMemory(0, 18), cancellation);
            await near.ReadExactlyAsync(new byte[18], cancellation);
            await near.WriteAsync(up.AsMemory(0, 100), cancellation);
            Assert.Equal(up[..100], await ReadAsync(far, 100));
            var (atServer, atClient) = (ReadAsync(far, up.Length - 100), ReadAsync(near, down.Length - 18));
            await far.WriteAsync(down.AsMemory(18), cancellation);
            await near.WriteAsync(up.AsMemory(100), cancellation);
            client.Client.Shutdown(SocketShutdown.Send);
            Assert.Equal(up[100..], await atServer);
            accepted.Client.Shutdown(SocketShutdown.Send);
            Assert.Equal(down[18..], await atClient);
            Assert.Equal(0, await near.ReadAsync(new byte[1], cancellation));
            await stop.CancelAsync();
            await running;
        }
    }

    private static async Task<byte[]> ReadAsync(NetworkStream from, int length)
    {
        var bytes = new byte[length];
        await from.ReadExactlyAsync(bytes, TestContext.Current.CancellationToken);
        return bytes;
    }
}
