using System.Net;
using ZeroFlow.SystemTests.Crash;
using ZeroFlow.SystemTests.Faults;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

public sealed class ShutdownTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Bytes = 64 * 1024 * 1024;

    [Theory]
    [InlineData("journaled")]
    [InlineData("published")]
    public async Task SIGTERM_under_load_ends_cleanly_and_loses_nothing(string level)
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:{level}"],
        };
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        for (var round = 0; round < 3; round++)
        {
            await using var server = await ZeroFlowServer.StartAsync(settings);
            if (round > 0) await Crashes.AssertKeptAsync(server, history, Promise.Acknowledged, $"after stop {round}");
            var running = new Load(history, round).RunAsync(server.Port, CancellationToken.None);
            await Task.Delay(700, TestContext.Current.CancellationToken);
            Assert.Equal(0, await server.StopAsync());
            await IgnoreShutdownAsync(running);
            Refusals.AssertSays(server, "stopped: ");
        }

        // Everything was published on the way out, so the local disk is not needed any more.
        Crashes.Wipe(settings);
        await using var last = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(last, history, Promise.Acknowledged, "from the bucket alone");
    }

    // With the bucket away the stop is bounded, says what is left, and the next start has it.
    [Fact]
    public async Task SIGTERM_without_the_bucket_says_what_is_left_for_the_next_start()
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:journaled"],
            Tuning = new Dictionary<string, string> { ["StopTimeout"] = "2s" },
        };
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            proxy.Choose = _ => S3Fault.Refused;
            using var stop = new CancellationTokenSource(1000);
            await new Load(history, 5) { Pace = TimeSpan.FromMilliseconds(2) }.RunAsync(server.Port, stop.Token);
            Assert.Equal(0, await server.StopAsync());
            Refusals.AssertSays(server, "stopped: .*not published");
        }

        proxy.Choose = _ => S3Fault.None;
        await using var again = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(again, history, Promise.Acknowledged, "after a stop without the bucket");
        Assert.Equal(0, await again.StopAsync());
    }

    // An import that is on its way comes to its end, and all of it is there afterwards.
    [Fact]
    public async Task SIGTERM_waits_for_the_control_requests_in_flight()
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:journaled"],
        };
        var data = new byte[4 * 1024 * 1024];
        new Random(1).NextBytes(data);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            using var body = new SlowBody(data);
            using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{settings.AdminPort}") };
            var token = await File.ReadAllTextAsync(Path.Combine(settings.Data, "admin.token"), TestContext.Current.CancellationToken);
            http.DefaultRequestHeaders.Authorization = new("Bearer", token.Trim());
            var import = http.PutAsync($"/v1/exports/{Disk}/content?offset=0", body, TestContext.Current.CancellationToken);
            await BeginsAsync(server, data.AsMemory(0, 4096));
            server.RequestStop();
            await Task.Delay(700, TestContext.Current.CancellationToken);
            Assert.False(import.IsCompleted || server.HasExited, server.Log);
            body.GoOn();
            using var done = await import;
            Assert.Equal(HttpStatusCode.NoContent, done.StatusCode);
            Assert.Equal(0, await server.ExitAsync());
            Refusals.AssertSays(server, "stopped: everything is published");
        }

        await using var again = await ZeroFlowServer.StartAsync(settings);
        await using var client = await NbdClient.ConnectAsync(again.Port, Disk);
        var found = new byte[data.Length];
        await client.ReadAsync(0, found);
        Assert.Equal(data.Length, data.AsSpan().CommonPrefixLength(found));
        Assert.Equal(0, await again.StopAsync());
    }

    // Waits until the export begins with the bytes.
    private static async Task BeginsAsync(ZeroFlowServer server, ReadOnlyMemory<byte> bytes)
    {
        await using var client = await NbdClient.ConnectAsync(server.Port, Disk);
        var found = new byte[bytes.Length];
        do await client.ReadAsync(0, found);
        while (!bytes.Span.SequenceEqual(found));
    }

    // Requests that arrive while the server stops may be answered "shutting down" (108), and nothing else.
    private static async Task IgnoreShutdownAsync(Task load)
    {
        try
        {
            await load;
        }
        catch (NbdException e)
        {
            Assert.Equal(108u, e.Code);
        }
    }

    /// <summary>A body whose second half is sent when it is told to.</summary>
    private sealed class SlowBody(byte[] bytes) : HttpContent
    {
        private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void GoOn() => _goOn.SetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(bytes.AsMemory(0, bytes.Length / 2));
            await stream.FlushAsync();
            await _goOn.Task;
            await stream.WriteAsync(bytes.AsMemory(bytes.Length / 2));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = bytes.Length;
            return true;
        }
    }
}
