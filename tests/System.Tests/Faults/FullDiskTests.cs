using ZeroFlow.SystemTests.Crash;
using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Faults;

public sealed class FullDiskTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";
    private const int Bytes = 64 * 1024 * 1024;

    // Somebody else fills the disk that the log is on while the bucket is away, so that no segment comes free: writes
    // wait, then fail with a clear reason; what was acknowledged before, and whatever is acknowledged after there is
    // room again, is there.
    [Fact]
    public async Task A_full_disk_holds_writes_back_and_loses_no_acknowledged_one()
    {
        Require.Root();
        using var folder = new TestFolder();
        var data = folder.Make("data");
        await Tool.RunAsync("mount", "-t", "tmpfs", "-o", "size=96m", "none", data);
        try
        {
            string store = folder.Make("store");
            var settings = new ServerSettings(await binary.PathAsync(), StorePlace.InDirectory(store), data)
            {
                Exports = [$"{Disk}:{Bytes}:journaled"],
                Tuning = new Dictionary<string, string>
                {
                    ["WalSegmentBytes"] = "4M",
                    ["WalBytes"] = "256M",
                    ["FullDiskPatience"] = "1s",
                    ["TableBytes"] = "1M",
                    ["PublishInterval"] = "200ms",
                    ["DiskCacheBytes"] = "0",
                },
            };
            var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
            await FillUnderLoadAsync(settings, history, store, Path.Combine(data, "ballast"));
            await using var again = await ZeroFlowServer.StartAsync(settings);
            await Crashes.AssertKeptAsync(again, history, Promise.Acknowledged, "after the disk was full");
            await WriteAsync(again, history);
            Assert.Equal(0, await again.StopAsync());
        }
        finally
        {
            await Tool.RunAsync("umount", "-l", data);
        }
    }

    private static async Task FillUnderLoadAsync(
        ServerSettings settings, ImageHistory history, string store, string ballast)
    {
        await using var server = await ZeroFlowServer.StartAsync(settings);
        using var stop = new CancellationTokenSource();
        var running = new Load(history, 3) { Connections = 2, Depth = 2, ReadPercent = 0 }.RunAsync(server.Port, stop.Token);
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        string away = store + ".away";
        Directory.Move(store, away);
        var filling = FillAsync(ballast, running);

        // The load ends when the server answers a write with an error, or ends itself.
        var error = await Record.ExceptionAsync(() => running.WaitAsync(TimeSpan.FromSeconds(60)));
        await stop.CancelAsync();
        await filling;
        Directory.Move(away, store);
        if (error is NbdException answer) Assert.True(answer.Code is 28 or 5, answer.Message);
        else Assert.True(error is null, $"{error}\n{server.Log}");
        Refusals.AssertSays(server, "full|no space");
        await server.KillAsync();
        File.Delete(ballast);
    }

    // Takes every block that comes free while the load still runs.
    private static async Task FillAsync(string ballast, Task running)
    {
        var block = new byte[256 * 1024];
        await using var file = new FileStream(
            ballast, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        while (!running.IsCompleted)
        {
            try
            {
                await file.WriteAsync(block);
            }
            catch (IOException)
            {
                await Task.Delay(5);
            }
        }
    }

    private static async Task WriteAsync(ZeroFlowServer server, ImageHistory history)
    {
        using var stop = new CancellationTokenSource(500);
        var load = new Load(history, 4);
        await load.RunAsync(server.Port, stop.Token);
        Assert.True(!load.LostConnection && load.Flushes > 0, server.Log);
    }
}
