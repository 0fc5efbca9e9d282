using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Crash;

// Two servers on one store: there is never a time at which both may acknowledge.
public sealed class TakeoverTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";
    private const int Bytes = 32 * 1024 * 1024;

    private static readonly Dictionary<string, string> Tuning = new()
    {
        ["TableBytes"] = "1M",
        ["PublishInterval"] = "100ms",
        ["CheckpointTables"] = "2",
        ["DeleteGrace"] = "0s",
        ["StallThreshold"] = "1s",
    };

    // Every FLUSH that the first server answered, whenever that was, is in what the second one serves.
    [Fact]
    public async Task The_second_server_takes_over_and_the_first_one_ends_fenced()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(folder, "first", "published");
        await using var first = await ZeroFlowServer.StartAsync(settings);
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var running = new Load(history, 1).RunAsync(first.Port, CancellationToken.None);
        await Task.Delay(1500, TestContext.Current.CancellationToken);

        await using var second = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, "second", "published"));
        Assert.NotEqual(0, await first.ExitAsync());
        await IgnoreErrorsAsync(running);
        AssertSaysFenced(first);
        await Crashes.AssertKeptAsync(second, history, Promise.Flushed, "after the takeover");
        Assert.Equal(0, await second.StopAsync());
    }

    // Its log of the lost term must not come back over what the second server wrote meanwhile, and must not be deleted.
    [Fact]
    public async Task A_fenced_server_that_starts_again_sets_its_stale_log_aside()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(folder, "first", "journaled");
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        await using (var first = await ZeroFlowServer.StartAsync(settings))
        {
            await Crashes.KillUnderLoadAsync(first, new Load(history, 1), 1000);
        }

        Image left;
        await using (var second = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, "second", "journaled")))
        {
            history.AcceptAfterCrash(await Image.ReadAsync(second.Port, history), Promise.Flushed);
            await WriteForAsync(second, history, 500);
            left = await Image.ReadAsync(second.Port, history);
            Assert.Equal(0, await second.StopAsync());
        }

        var bytesBefore = WalBytes(settings);
        await using var again = await ZeroFlowServer.StartAsync(settings);
        var found = await Image.ReadAsync(again.Port, history);
        Assert.Equal(left.States, found.States);
        Assert.True(WalBytes(settings) >= bytesBefore, "The stale log is gone.");
        Assert.Matches("(?i)stale", again.Log);
        Assert.Equal(0, await again.StopAsync());
    }

    // The known hole of create-if-absent on numbered names: a writer sleeps over the takeover, the garbage collector
    // removes what it would collide with, and it wakes up and acknowledges into the void.
    [Theory]
    [InlineData("journaled")]
    [InlineData("published")]
    public async Task A_server_that_slept_over_the_takeover_never_acknowledges_again(string level)
    {
        using var folder = new TestFolder();
        await using var first = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, "first", level));
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        var load = new Load(history, 9);
        await using var client = await Wire.NbdClient.ConnectAsync(first.Port, Disk);
        var running = load.RunAsync(first.Port, CancellationToken.None);
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        first.Pause();

        // Answers that were sent before the pause may still be on their way through the kernel.
        await Task.Delay(500, TestContext.Current.CancellationToken);
        var (writes, flushes) = (Acknowledged(history), load.Flushes);
        var before = ChainObjects(folder);
        Task[] late = [client.WriteAsync(
            0, new byte[4096]), client.WriteAsync(4096, new byte[512], true), client.FlushAsync()];

        await using var second = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, "second", level));
        var image = await Image.ReadAsync(second.Port, history);
        await OverwriteUntilDeletedAsync(second, folder, before);

        first.Resume();
        Assert.NotEqual(0, await first.ExitAsync());
        await IgnoreErrorsAsync(running);
        AssertSaysFenced(first);
        foreach (var request in late) Assert.NotNull(await Record.ExceptionAsync(() => request));
        Assert.Equal((writes, flushes), (Acknowledged(history), load.Flushes));
        if (level == "published") Assert.Empty(history.AcceptAfterCrash(image, Promise.Flushed));
        Assert.Equal(0, await second.StopAsync());
    }

    private static int Acknowledged(ImageHistory history) => history.Operations.Count(o => o.Acknowledged > 0);

    private static void AssertSaysFenced(ZeroFlowServer server) =>
        Assert.Matches("(?i)fenced|taken over|took (it |the store )?over", server.Log);

    private static async Task WriteForAsync(ZeroFlowServer server, ImageHistory history, int milliseconds)
    {
        using var stop = new CancellationTokenSource(milliseconds);
        var load = new Load(history, 2);
        await load.RunAsync(server.Port, stop.Token);
        Assert.False(load.LostConnection, server.Log);
    }

    // Writes over everything until the collector has removed a table of the first server's term.
    private static async Task OverwriteUntilDeletedAsync(
        ZeroFlowServer server, TestFolder folder, HashSet<string> before)
    {
        var history = new ImageHistory(Disk, 2, Bytes, new Sequencer());
        var data = new byte[1024 * 1024];
        await using var client = await Wire.NbdClient.ConnectAsync(server.Port, Disk);
        for (var pass = 1; pass <= 60; pass++)
        {
            for (long offset = 0; offset < Bytes; offset += data.Length)
            {
                SectorStamp.Fill(data, history.Number, offset, pass);
                await client.WriteAsync(offset, data);
            }

            await client.FlushAsync();
            if (!before.IsSubsetOf(ChainObjects(folder))) return;
            await Task.Delay(200, CancellationToken.None);
        }

        Assert.Fail($"No table of the first server was ever deleted, so this shows nothing.\n{server.Log}");
    }

    private static HashSet<string> ChainObjects(TestFolder folder) =>
        [.. Directory.EnumerateFiles(folder["store/chain"], "*", SearchOption.AllDirectories)];

    private static long WalBytes(ServerSettings settings) =>
        new DirectoryInfo(settings.Data).EnumerateFiles("*", SearchOption.AllDirectories)
            .Where(f => f.FullName.Contains("wal", StringComparison.Ordinal)).Sum(f => f.Length);

    // A server that knows that it is fenced may answer with errors before it ends; what counts is that it
    // acknowledges nothing.
    private static async Task IgnoreErrorsAsync(Task load)
    {
        try
        {
            await load;
        }
        catch (Wire.NbdException)
        {
        }
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, string name, string level) =>
        new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make(name))
        {
            Exports = [$"{Disk}:{Bytes}:{level}"],
            Tuning = Tuning,
        };
}
