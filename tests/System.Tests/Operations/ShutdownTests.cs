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

    // Whoever asked for a flush gets its answer, and not a connection that ends.
    [Fact]
    public async Task SIGTERM_waits_for_the_control_requests_in_flight()
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:journaled"],
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        var admin = new Operator(settings.Binary, "--admin", $"127.0.0.1:{settings.AdminPort}", "--data", settings.Data);
        await admin.AskAsync("flush");
        proxy.Choose = _ => S3Fault.Refused;
        await using (var client = await NbdClient.ConnectAsync(server.Port, Disk)) await client.WriteAsync(0, new byte[4096]);
        var flush = admin.TryAsync("flush");

        // A second one that gives up shows that the first one has long begun.
        Assert.Equal(1, (await admin.TryAsync("flush", "--timeout", "1s")).Status);
        Assert.False(flush.IsCompleted);
        server.RequestStop();
        await Task.Delay(500, TestContext.Current.CancellationToken);
        Assert.False(flush.IsCompleted || server.HasExited);
        proxy.Choose = _ => S3Fault.None;
        Assert.Equal((0, ""), await flush);
        Assert.Equal(0, await server.ExitAsync());
        Refusals.AssertSays(server, "stopped: everything is published");
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
}
