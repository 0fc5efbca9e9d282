using ZeroFlow.SystemTests.Crash;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Faults;

// The bucket goes away, refuses, lies and forgets to answer. Nobody loses anything, and a journaled export goes on.
public sealed class OutageTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Bytes = 64 * 1024 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Theory]
    [InlineData(S3Fault.Refused)]
    [InlineData(S3Fault.SlowDown)]
    [InlineData(S3Fault.Denied)]
    public async Task Writes_and_flushes_go_on_while_the_bucket_is_away_and_then_everything_drains(S3Fault fault)
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        var settings = await SettingsAsync(folder, proxy, "journaled");
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var load = new Load(history, 21)
        {
            Connections = 2,
            Depth = 2,
            Pace = TimeSpan.FromMilliseconds(5),
            ReadPercent = 0,
        };
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            using var stop = new CancellationTokenSource();
            var running = load.RunAsync(server.Port, stop.Token);
            await Task.Delay(1000, TestContext.Current.CancellationToken);
            proxy.Choose = _ => fault;
            for (var window = 0; window < (Require.Long ? 30 : 5); window++)
            {
                var (writes, flushes) = (history.Acknowledgements, load.Flushes);
                await Task.WhenAny(running, Task.Delay(2000, TestContext.Current.CancellationToken));
                Assert.True(!running.IsFaulted && !load.LostConnection, $"{running.Exception}\n{server.Log}");
                var moves = history.Acknowledgements > writes && load.Flushes > flushes;
                Assert.True(moves, $"The export stands still.\n{server.Log}");
            }

            Assert.True(proxy.Count(fault) > 0);
            Assert.True(await DirtyAsync(server) > 0, "Dirty bytes do not show the outage.");
            proxy.Choose = _ => S3Fault.None;
            await stop.CancelAsync();
            await running;
            await DrainAsync(server);
            await server.KillAsync();
        }

        Crashes.Wipe(settings);
        await using var again = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(again, history, Promise.Acknowledged, $"after {fault}, from the bucket alone");
        Assert.Equal(0, await again.StopAsync());
    }

    // A bit of everything at once, also at the start and while reading back.
    [Theory]
    [InlineData("journaled")]
    [InlineData("published")]
    public async Task Errors_short_bodies_and_lost_replies_lose_nothing(string level)
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        proxy.Choose = new FaultMix(
            17, (S3Fault.InternalError, 50), (S3Fault.SlowDown, 50), (S3Fault.ReplyLost, 80), (S3Fault.ShortBody, 80),
            (S3Fault.Refused, 30)).Choose;
        const int Small = Bytes / 4;
        var settings = await SettingsAsync(folder, proxy, level) with { Exports = [$"{Disk}:{Small}:{level}"] };
        var history = new ImageHistory(Disk, 1, Small, new Sequencer());
        for (var round = 0; round < 3; round++)
        {
            var load = new Load(history, 31 + round) { Connections = 2, Pace = TimeSpan.FromMilliseconds(2) };
            await using (var server = await ZeroFlowServer.StartAsync(settings))
            {
                if (round > 0) await Crashes.AssertKeptAsync(server, history, Promised(level), $"in round {round}");
                await Crashes.KillUnderLoadAsync(server, load, 3000);
            }

            if (level == "published") Crashes.Wipe(settings);
        }

        await using var last = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(last, history, Promised(level), "at the end");
        Assert.True(proxy.Count(S3Fault.ReplyLost) > 0 && proxy.Count(S3Fault.InternalError) > 0);
        Assert.Equal(0, await last.StopAsync());
    }

    private static Promise Promised(string level) => level == "published" ? Promise.Flushed : Promise.Acknowledged;

    private static async Task<double> DirtyAsync(ZeroFlowServer server) =>
        (await server.MetricsAsync()).Sum(MetricNames.DirtyBytes);

    private static async Task DrainAsync(ZeroFlowServer server)
    {
        using var timeout = new CancellationTokenSource(Patience);
        double dirty;
        while ((dirty = await DirtyAsync(server)) > 0)
        {
            if (timeout.IsCancellationRequested)
            {
                Assert.Fail($"{dirty} bytes are still dirty after {Patience}.\n{server.Log}");
            }

            await Task.Delay(250, CancellationToken.None);
        }
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, S3Proxy proxy, string level) =>
        new(await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:{level}"],
            Tuning = new Dictionary<string, string>
            {
                ["TableBytes"] = "2M",
                ["PublishInterval"] = "200ms",
                ["CheckpointTables"] = "8",
                ["MemoryCacheBytes"] = "16M",
            },
        };
}
