using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Crash;

// kill -9 under load, again and again on the same store: whatever was answered is there afterwards.
public sealed class KillTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";
    private const int Bytes = 64 * 1024 * 1024;

    // 20 rounds with random timing, so that the kill meets cuts, uploads, segment changes and recoveries of recoveries.
    [Fact]
    public async Task Every_acknowledged_write_survives_20_kills()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(StorePlace.Directory, folder, "journaled");
        await RunRoundsAsync(settings, rounds: 20, Promise.Acknowledged, wipe: false, seed: 2000);
    }

    [Fact]
    public async Task Every_acknowledged_write_survives_kills_with_a_real_bucket()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(StorePlace.Radosgw, folder, "journaled");
        await RunRoundsAsync(settings, rounds: 5, Promise.Acknowledged, wipe: false, seed: 3000);
    }

    // The machine is lost with its disk: what a FLUSH on a published export covered comes from the bucket alone.
    [Theory]
    [InlineData(StorePlace.Directory)]
    [InlineData(StorePlace.Radosgw)]
    public async Task Every_flushed_write_of_a_published_export_survives_the_loss_of_the_local_disk(string store)
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(store, folder, "published");
        await RunRoundsAsync(settings, rounds: 4, Promise.Flushed, wipe: true, seed: 4000);
    }

    // A start that is itself killed must not make the next one worse.
    [Fact]
    public async Task A_kill_during_recovery_loses_nothing()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(StorePlace.Directory, folder, "journaled");
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var random = new Random(77);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await Crashes.KillUnderLoadAsync(server, new Load(history, 77), 2000);
        }

        for (var attempt = 0; attempt < 5; attempt++)
        {
            await using var doomed = ZeroFlowServer.Launch(settings);
            await Task.Delay(random.Next(100, 900), TestContext.Current.CancellationToken);
            await doomed.KillAsync();
        }

        await using var last = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(last, history, Promise.Acknowledged, "after five interrupted starts");
        Assert.Equal(0, await last.StopAsync());
    }

    private static async Task RunRoundsAsync(ServerSettings settings, int rounds, Promise promise, bool wipe, int seed)
    {
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var random = new Random(seed);
        long flushes = 0;
        for (var round = 0; round < rounds; round++)
        {
            var load = new Load(history, seed + round);
            await using (var server = await ZeroFlowServer.StartAsync(settings))
            {
                if (round > 0)
                {
                    await Crashes.AssertKeptAsync(server, history, promise, $"after kill {round} (seed {seed})");
                }

                await Crashes.KillUnderLoadAsync(server, load, random.Next(200, 1500));
            }

            flushes += load.Flushes;
            if (wipe) Crashes.Wipe(settings);
        }

        Assert.True(flushes > 0, "No FLUSH was answered in any round: the test would show nothing.");
        await using var last = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(last, history, promise, $"after kill {rounds} (seed {seed})");
        Assert.Equal(0, await last.StopAsync());
    }

    // Small segments and tables, and checkpoints often: each round crosses many of their borders.
    private async Task<ServerSettings> SettingsAsync(string store, TestFolder folder, string level) =>
        new(await binary.PathAsync(), await StorePlace.NewAsync(store, folder, gateway), folder.Make("data"))
        {
            Exports = [$"{Disk}:{Bytes}:{level}"],
            Tuning = new Dictionary<string, string>
            {
                ["TableBytes"] = "2M",
                ["PublishInterval"] = "200ms",
                ["WalSegmentBytes"] = "8M",
                ["CheckpointTables"] = "8",
                ["MemoryCacheBytes"] = "16M",
                ["DirtyMemoryBytes"] = "32M",
            },
        };
}
