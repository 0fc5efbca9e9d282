using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Crash;

// Years of overwrites: the export is written over many times, the server is killed again and again while it settles and
// collects, every byte is read back after each kill, and the bucket ends with little more than what lives.
public sealed class OverwriteSoakTests(ZeroFlowBinary binary)
{
    private const double TargetShare = 0.7;

    [Fact]
    public async Task Overwrites_and_kills_lose_nothing_and_the_bucket_converges()
    {
        var (bytes, total, kills) = Require.Long ? (4L << 30, 64L << 30, 20) : (64L << 20, 1L << 30, 4);
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"disk:{bytes}:journaled"],
            Tuning = Require.Long
                ? new Dictionary<string, string> { ["DeleteGrace"] = "0s" }
                : new Dictionary<string, string> { ["DeleteGrace"] = "0s", ["TableBytes"] = "2M", ["CheckpointTables"] = "8", ["CheckpointIdle"] = "5s" },
        };
        var disk = new SoakDisk("disk", bytes, lanes: 16);
        double settled = 0, most = 0;
        for (int round = 1; round <= kills; round++)
        {
            await using var server = await ZeroFlowServer.StartAsync(settings);
            Task load = disk.RunAsync(server.Port, round, connections: 4);
            while (disk.WrittenBytes < total * round / kills)
            {
                Assert.False(load.IsCompleted || server.HasExited, $"The load ended by itself: {load.Exception}\n{server.Log}");
                await Task.Delay(100, TestContext.Current.CancellationToken);
                most = Math.Max(most, TableBytes(folder));
            }

            settled += (await server.MetricsAsync()).Sum("zeroflow_store_settled_bytes_total");
            await server.KillAsync();
            await load;
            await using var again = await ZeroFlowServer.StartAsync(settings);
            await disk.CheckAsync(again.Port);
            await again.KillAsync();
        }

        await using var last = await ZeroFlowServer.StartAsync(settings);
        double live = await ConvergeAsync(last, folder);
        settled += (await last.MetricsAsync()).Sum("zeroflow_store_settled_bytes_total");
        Assert.Equal(0, await last.StopAsync());
        Crashes.Wipe(settings);
        await using var fromBucket = await ZeroFlowServer.StartAsync(settings);
        await disk.CheckAsync(fromBucket.Port);

        double amplification = (disk.WrittenBytes + settled) / disk.WrittenBytes;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{disk.WrittenBytes >> 20} MiB written over {bytes >> 20} MiB with {kills} kills: written {amplification:F2} times, "
            + $"tables of at most {most / live:F2} and at last {TableBytes(folder) / live:F2} times the {(long)live >> 20} MiB that live");
        Assert.InRange(amplification, 1, 1.8);
    }

    // The bucket holds the live bytes divided by the target share, and a tenth for headers, indexes and what a batch is short of.
    private static async Task<double> ConvergeAsync(ZeroFlowServer server, TestFolder folder)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(10));
        while (true)
        {
            MetricsPage metrics = await server.MetricsAsync();
            double live = metrics.Sum("zeroflow_store_live_bytes");
            if (metrics.Sum(MetricNames.DirtyBytes) == 0 && TableBytes(folder) <= live / TargetShare * 1.1) return live;
            Assert.False(patience.IsCancellationRequested, $"{TableBytes(folder)} bytes of tables for {live} that live:\n{server.Log}");
            await Task.Delay(500, CancellationToken.None);
        }
    }

    private static long TableBytes(TestFolder folder)
    {
        long sum = 0;
        foreach (FileInfo table in new DirectoryInfo(folder["store/chain"]).EnumerateFiles("*", SearchOption.AllDirectories))
        {
            // One that goes while it is looked at is gone.
            if (table.Exists) sum += table.Length;
        }

        return sum;
    }
}
