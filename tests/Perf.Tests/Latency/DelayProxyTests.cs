using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using ZeroFlow.Perf.Latency;

namespace ZeroFlow.Perf.Tests.Latency;

// A scripted server behind the proxy: every byte of either side arrives as it was, later by the delay, and is counted.
public sealed class DelayProxyTests : IDisposable
{
    private readonly TcpListener _server = new(IPAddress.Loopback, 0);

    public DelayProxyTests() => _server.Start();

    public void Dispose() => _server.Dispose();

    public static TheoryData<string, string, string, long, long> Messages { get; } = new()
    {
        {
            "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "PUT", 5, 0
        },
        {
            "GET /b/k HTTP/1.1\r\nRange: bytes=0-3\r\n\r\n",
            "HTTP/1.1 206 Partial\r\ncontent-length: 4\r\n\r\nabcd", "GET", 0, 4
        },
        { "HEAD /b HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n", "HEAD", 0, 0 },
        { "DELETE /b/k HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n", "DELETE", 0, 0 },
        {
            "GET /?list HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
            "GET", 0, 5
        },
        {
            "PUT /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 412 No\r\nContent-Length: 1\r\n\r\nx", "PUT", 4, 1
        },
    };

    [Theory]
    [MemberData(nameof(Messages))]
    public async Task Messages_pass_unchanged_and_are_counted(
        string request, string response, string method, long sent, long received)
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var run = new Run(_server, TimeSpan.Zero);
        using var client = await run.ConnectAsync();
        using var accepted = await _server.AcceptTcpClientAsync(cancellation);

        // Twice over the same connection, in pieces that no message knows of.
        for (var round = 0; round < 2; round++)
        {
            foreach (var piece in Encoding.Latin1.GetBytes(request).Chunk(7))
                await client.GetStream().WriteAsync(piece, cancellation);
            Assert.Equal(request, await ReadAsync(accepted, request.Length));
            foreach (var piece in Encoding.Latin1.GetBytes(response).Chunk(11))
                await accepted.GetStream().WriteAsync(piece, cancellation);
            Assert.Equal(response, await ReadAsync(client, response.Length));
        }

        var use = await run.EndAsync();
        Assert.Equal(2, use.Of(method));
        Assert.Equal(2, use.Total);
        Assert.Equal((2 * sent, 2 * received), (use.SentBytes, use.ReceivedBytes));
    }

    [Fact]
    public async Task A_response_is_late_by_the_delay_and_large_bodies_stream()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var run = new Run(_server, TimeSpan.FromMilliseconds(80));
        using var client = await run.ConnectAsync();
        using var accepted = await _server.AcceptTcpClientAsync(cancellation);
        var body = new byte[3_000_000];
        new Random(1).NextBytes(body);
        var head = $"PUT /k HTTP/1.1\r\nContent-Length: {body.Length}\r\n\r\n";

        var writing = client.GetStream().WriteAsync((byte[])[.. Encoding.Latin1.GetBytes(head), .. body], cancellation);
        Assert.Equal(head, await ReadAsync(accepted, head.Length));
        var arrived = new byte[body.Length];
        await accepted.GetStream().ReadExactlyAsync(arrived, cancellation);
        await writing;
        Assert.Equal(body, arrived);

        const string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        var begun = Stopwatch.GetTimestamp();
        await accepted.GetStream().WriteAsync(Encoding.Latin1.GetBytes(answer), cancellation);
        Assert.Equal(answer, await ReadAsync(client, answer.Length));
        Assert.InRange(Stopwatch.GetElapsedTime(begun).TotalMilliseconds, 75, 5000);
    }

    [Fact]
    public async Task A_response_without_a_length_ends_with_the_connection()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var run = new Run(_server, TimeSpan.Zero);
        using var client = await run.ConnectAsync();
        using (var accepted = await _server.AcceptTcpClientAsync(cancellation))
        {
            await client.GetStream().WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray(), cancellation);
            await ReadAsync(accepted, 18);
            await accepted.GetStream().WriteAsync("HTTP/1.1 200 OK\r\n\r\nall of it"u8.ToArray(), cancellation);
        }

        using var reader = new StreamReader(client.GetStream());
        Assert.Equal("HTTP/1.1 200 OK\r\n\r\nall of it", await reader.ReadToEndAsync(cancellation));
    }

    [Theory]
    [InlineData(5, 0.25)]
    [InlineData(20, 0.25)]
    [InlineData(100, 0.5)]
    public void Delays_have_the_median_and_the_tail_of_the_law(double milliseconds, double sigma)
    {
        var law = new LatencyLaw(TimeSpan.FromMilliseconds(milliseconds), sigma, 1);
        var delays = Enumerable.Range(0, 20_000).Select(_ => law.Next().TotalMilliseconds).Order().ToArray();
        Assert.InRange(delays[10_000], (milliseconds * 0.95) - 0.5, (milliseconds * 1.05) + 0.5);
        var tail = milliseconds * Math.Exp(2.326 * sigma);
        Assert.InRange(delays[19_800], (tail * 0.92) - 0.5, (tail * 1.08) + 1);
    }

    private static async Task<string> ReadAsync(TcpClient from, int length)
    {
        var bytes = new byte[length];
        await from.GetStream().ReadExactlyAsync(bytes, TestContext.Current.CancellationToken);
        return Encoding.Latin1.GetString(bytes);
    }

    private sealed class Run : IAsyncDisposable
    {
        private readonly DelayProxy _proxy;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _running;

        public Run(TcpListener server, TimeSpan delay)
        {
            _proxy = new DelayProxy(0, server.LocalEndpoint, new LatencyLaw(delay, 0, 1));
            _running = _proxy.RunAsync(_stop.Token);
        }

        public async Task<TcpClient> ConnectAsync()
        {
            var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, _proxy.Port, TestContext.Current.CancellationToken);
            return client;
        }

        // Counts are complete once the connections have ended.
        public async Task<ProxyUse> EndAsync()
        {
            await _stop.CancelAsync();
            await _running;
            return _proxy.Counts.Read();
        }

        public async ValueTask DisposeAsync()
        {
            await EndAsync();
            _proxy.Dispose();
            _stop.Dispose();
        }
    }
}
