using ZeroFlow.SystemTests.Crash;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.PowerLoss;

// The power fails under a real server on a real file system, whose disk forgets what was not synced, in single sectors.
// The server lives on for a moment, so that a FLUSH that it answers without its disk is found out as well.
public sealed class PowerCutTests(ZeroFlowBinary binary)
{
    private const string Export = "disk";
    private const int Bytes = 32 * 1024 * 1024;
    private static readonly double[] Survivals = [0, 0, 0.5, 0.9];

    private static int FirstSeed =>
        int.TryParse(Environment.GetEnvironmentVariable("ZEROFLOW_SEED"), out var seed) ? seed : 1;

    // With level published the bucket is a directory on the same disk, which must be as durable as the log.
    [Theory]
    [InlineData("ext4", "journaled")]
    [InlineData("xfs", "journaled")]
    [InlineData("ext4", "published")]
    [InlineData("xfs", "published")]
    public async Task Every_flushed_write_survives_a_loss_of_power(string fileSystem, string level)
    {
        if (!Require.Long && (fileSystem, level) is not (("ext4", "journaled") or ("xfs", "published")))
            Assert.Skip("ZEROFLOW_LONG=1 runs it.");
        using var folder = new TestFolder();
        await using var machine = await Machine.NewAsync(folder, fileSystem);
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(Path.Combine(machine.Root, "store")),
            Path.Combine(machine.Root, "data"))
        {
            Exports = [$"{Export}:{Bytes}:{level}"],
            Tuning = new Dictionary<string, string>
            {
                ["TableBytes"] = "1M",
                ["PublishInterval"] = "200ms",
                ["WalSegmentBytes"] = "4M",
                ["WalBytes"] = "64M",
                ["CheckpointTables"] = "8",
                ["CheckpointIdle"] = "1s",
                ["DeleteGrace"] = "1s",
                ["DiskCacheBytes"] = "0",
                ["MemoryCacheBytes"] = "16M",
            },
        };
        Directory.CreateDirectory(settings.Data);
        Directory.CreateDirectory(Path.Combine(machine.Root, "store"));
        await Tool.RunAsync("sync", "-f", machine.Root);
        await RunRoundsAsync(machine, settings);
        Assert.True(machine.Disk.Forgotten > 0, "The disk never forgot anything.");
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"{machine.Disk.Flushes} FLUSHes of the disk, {machine.Disk.Forgotten} sectors forgotten");
    }

    private static async Task RunRoundsAsync(Machine machine, ServerSettings settings)
    {
        var history = new ImageHistory(Export, 1, Bytes, new Sequencer());
        var random = new Random(FirstSeed);
        long flushes = 0;
        for (var round = 0; round < (Require.Long ? 25 : 3); round++)
        {
            var when = $"seed {FirstSeed}, power cut {round}";
            await using (var server = await ZeroFlowServer.StartAsync(settings))
            {
                if (round > 0) await Crashes.AssertKeptAsync(server, history, Promise.Flushed, when);
                var load = new Load(history, FirstSeed + round) { Connections = 3, Depth = 2 };
                var running = load.RunAsync(server.Port, CancellationToken.None);
                await Task.WhenAny(running, Task.Delay(random.Next(300, 2500), TestContext.Current.CancellationToken));
                Assert.False(running.IsCompleted, $"{when}: the load ended before the power did: {running.Exception}\n{server.Log}");
                var survival = Survivals[random.Next(Survivals.Length)];
                if (round % 2 == 0) await machine.Disk.CutPowerInFlushAsync(random, survival);
                else machine.Disk.CutPower(random, survival);
                await Task.Delay(random.Next(0, 1000), TestContext.Current.CancellationToken);
                await server.KillAsync();
                await EndAsync(running);
                flushes += load.Flushes;
            }

            await machine.RestartAsync();
        }

        Assert.True(flushes > 0, "No FLUSH was answered in any round: the test would show nothing.");
        await using var last = await ZeroFlowServer.StartAsync(settings);
        await Crashes.AssertKeptAsync(last, history, Promise.Flushed, $"seed {FirstSeed}, at the end");
        await Tool.RunAsync(
            settings.Binary, "scrub", "--admin", $"127.0.0.1:{settings.AdminPort}", "--data", settings.Data);
        Assert.Equal(0, await last.StopAsync());
    }

    // A server without a disk may answer with errors; anything else that goes wrong is a finding.
    private static async Task EndAsync(Task running)
    {
        await Task.WhenAny(running);
        foreach (var error in running.Exception?.Flatten().InnerExceptions ?? [])
        {
            if (error is not NbdException) throw error;
        }
    }
}
