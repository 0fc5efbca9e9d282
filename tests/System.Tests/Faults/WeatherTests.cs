using ZeroFlow.SystemTests.Crash;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Faults;

// A real server and a real S3 server with all that a network does between them, and kill -9, and loss of the local disk.
// ZEROFLOW_SEED=N plays another seed; the long form (ZEROFLOW_LONG=1) plays several, for longer, with stalls.
public sealed class WeatherTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Bytes = 32 * 1024 * 1024;
    private const int StartsMax = 20;

    private static int FirstSeed =>
        int.TryParse(Environment.GetEnvironmentVariable("ZEROFLOW_SEED"), out var seed) ? seed : 1;

    [Theory]
    [InlineData("journaled")]
    [InlineData("published")]
    public async Task Every_promised_write_is_there_whatever_the_network_did(string level)
    {
        if (!Require.Long && level == "journaled") Assert.Skip("ZEROFLOW_LONG=1 runs it.");
        for (var seed = FirstSeed; seed < FirstSeed + (Require.Long ? 8 : 1); seed++) await PlayAsync(level, seed);
    }

    private async Task PlayAsync(string level, int seed)
    {
        using var folder = new TestFolder();
        await using var proxy = new S3Proxy(await gateway.PortAsync());
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InBucket(proxy.Port, folder.Name), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:{level}"],
            Tuning = new Dictionary<string, string>
            {
                ["TableBytes"] = "1M",
                ["PublishInterval"] = "100ms",
                ["CheckpointTables"] = "6",
                ["CheckpointIdle"] = "1s",
                ["DeleteGrace"] = "1s",
                ["WalSegmentBytes"] = "4M",
                ["WalBytes"] = "256M",
                ["MemoryCacheBytes"] = "8M",
            },
        };
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var weather = new Weather(proxy, seed);
        using var over = new CancellationTokenSource();
        var blowing = weather.RunAsync(over.Token);
        try
        {
            var promise = await RunRoundsAsync(settings, history, level, seed, weather);
            await over.CancelAsync();
            await blowing;
            await using var last = await ZeroFlowServer.StartAsync(settings);
            await Crashes.AssertKeptAsync(last, history, promise, $"seed {seed}, at the end");
            await Tool.RunAsync(
                settings.Binary, "scrub", "--admin", $"127.0.0.1:{settings.AdminPort}", "--data", settings.Data);
            Assert.Equal(0, await last.StopAsync());
        }
        finally
        {
            await over.CancelAsync();
            await blowing;
        }

        Say($"seed {seed}, {level}: {string.Join(' ', weather.Spells)}; "
            + string.Join(", ", Enum.GetValues<S3Fault>().Select(fault => $"{fault} {proxy.Count(fault)}")));
        Assert.True(Enum.GetValues<S3Fault>().Count(fault => proxy.Count(fault) > 0) > 3, "It was fair weather all the time.");
    }

    private static async Task<Promise> RunRoundsAsync(
        ServerSettings settings, ImageHistory history, string level, int seed, Weather weather)
    {
        var random = new Random(seed);
        var promise = Promise.Acknowledged;
        long writes = 0;
        for (var round = 0; round < (Require.Long ? 10 : 2); round++)
        {
            await using var server = await StartAsync(settings);
            var when = $"seed {seed}, round {round}, weather {string.Join(' ', weather.Spells)}";
            if (round > 0) await Crashes.AssertKeptAsync(server, history, promise, when);
            var load = new Load(history, seed + round)
            {
                Connections = 3,
                Depth = 2,
                Pace = TimeSpan.FromMilliseconds(1),
                FlushPercent = 4,
            };
            await Crashes.KillUnderLoadAsync(server, load, random.Next(1000, Require.Long ? 15_000 : 2500));
            writes += history.Acknowledgements;
            promise = Lose(settings, level, random);
        }

        Assert.True(writes > 0, "Nothing was ever written.");
        return promise;
    }

    // What else is lost with the server: nothing, the cache, or the whole local disk.
    private static Promise Lose(ServerSettings settings, string level, Random random)
    {
        switch (random.Next(3))
        {
            case 0:
                return Promise.Acknowledged;
            case 1 when level == "published":
                Crashes.Wipe(settings);
                return Promise.Flushed;
            default:
                var cache = Path.Combine(settings.Data, "cache");
                if (Directory.Exists(cache)) Directory.Delete(cache, recursive: true);
                return Promise.Acknowledged;
        }
    }

    // A bucket that is away for too long is a reason not to start, and no reason to be damaged by the attempt.
    private static async Task<ZeroFlowServer> StartAsync(ServerSettings settings)
    {
        for (var attempt = 1; ; attempt++)
        {
            var server = ZeroFlowServer.Launch(settings);
            if (await IsReadyAsync(server)) return server;
            var (status, log) = (await server.ExitAsync(), server.Log);
            await server.DisposeAsync();
            Assert.True(status == 1 && attempt < StartsMax, $"Start {attempt} ended with {status}:\n{log}");
        }
    }

    private static async Task<bool> IsReadyAsync(ZeroFlowServer server)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (!server.HasExited)
        {
            if (await server.StatusAsync("/readyz") == global::System.Net.HttpStatusCode.OK) return true;
            if (patience.IsCancellationRequested) Assert.Fail($"Neither ready nor at its end:\n{server.Log}");
            await Task.Delay(50, CancellationToken.None);
        }

        return false;
    }

    private static void Say(string line) => TestContext.Current.TestOutputHelper!.WriteLine(line);
}
