using System.Globalization;
using System.Text.Json;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Faults;

// However often the bucket fails, the log says once that it does and what that means, and once that it is over.
public sealed class OutageLogTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Piece = 256 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(S3Fault.Refused, 25, "if it lasts, check the network and the endpoint")]
    [InlineData(S3Fault.Denied, 10, "check the credentials")]
    public async Task An_outage_of_many_failures_is_a_few_lines_and_its_end_is_one(S3Fault fault, int failures, string advice)
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        var settings = new ServerSettings(await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"{Disk}:64M:journaled"],
            Options = ["--set", "LogFormat=json"],
            Tuning = new Dictionary<string, string> { ["WalBytes"] = "8M", ["WalSegmentBytes"] = "1M", ["PublishInterval"] = "100ms" },
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
        await client.WriteAsync(0, new byte[Piece]);
        await client.FlushAsync();
        var before = Lines(server).Length;

        proxy.Choose = _ => fault;
        var writes = WriteTwiceTheLogAsync(client);
        await UntilAsync(() => proxy.Count(fault) >= failures && server.Log.Contains("Writes wait", StringComparison.Ordinal), server);
        proxy.Choose = _ => S3Fault.None;
        await writes.WaitAsync(Patience, TestContext.Current.CancellationToken);
        await UntilAsync(() => server.Log.Contains("Writes go on", StringComparison.Ordinal), server);
        await DrainAsync(server);

        // Every line is an object with its parts.
        var lines = Lines(server)[before..].Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        var trouble = Assert.Single(lines, line => Message(line).StartsWith("Trouble with the object store", StringComparison.Ordinal));
        Assert.Equal("Warning", trouble.GetProperty("LogLevel").GetString());
        Assert.Contains(advice, Message(trouble), StringComparison.Ordinal);
        Assert.NotEmpty(trouble.GetProperty("State").GetProperty("Error").GetString()!);
        Assert.Single(lines, line => Message(line).StartsWith("The object store answers again after", StringComparison.Ordinal));
        Assert.Single(lines, line => Message(line).StartsWith("Writes wait", StringComparison.Ordinal));
        Assert.Single(lines, line => Message(line).StartsWith("Writes go on", StringComparison.Ordinal));
        Assert.True(
            lines.Length <= 12, $"{lines.Length.ToString(CultureInfo.InvariantCulture)} lines for one outage:\n{server.Log}");
        await client.DisconnectAsync();
        Assert.Equal(0, await server.StopAsync());
    }

    // The second half of it waits.
    private static async Task WriteTwiceTheLogAsync(NbdClient client)
    {
        var random = new Random(1);
        var bytes = new byte[Piece];
        for (var i = 0; i < 64; i++)
        {
            random.NextBytes(bytes);
            await client.WriteAsync(i * (long)Piece, bytes);
        }
    }

    private static string Message(JsonElement line) => line.GetProperty("Message").GetString()!;

    private static string[] Lines(ZeroFlowServer server) =>
        [.. server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line.StartsWith('{') && line.EndsWith('}'))];

    private static async Task DrainAsync(ZeroFlowServer server)
    {
        using var timeout = new CancellationTokenSource(Patience);
        while ((await server.MetricsAsync()).Sum(MetricNames.DirtyBytes) > 0) await Task.Delay(100, timeout.Token);
    }

    private static async Task UntilAsync(Func<bool> isSo, ZeroFlowServer server)
    {
        using var timeout = new CancellationTokenSource(Patience);
        while (!isSo())
        {
            Assert.False(timeout.IsCancellationRequested, $"It did not come to pass:\n{server.Log}");
            await Task.Delay(50, CancellationToken.None);
        }
    }
}
