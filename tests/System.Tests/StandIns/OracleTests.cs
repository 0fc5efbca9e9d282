using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.StandIns;

// An oracle that never complains proves nothing: these show that it accepts what is right and notices each kind of
// loss.
public sealed class OracleTests
{
    private const string Disk = "disk";
    private const int Bytes = 16 * 1024 * 1024;

    [Fact]
    public async Task A_server_that_hands_writes_to_the_kernel_loses_nothing_to_kill_9()
    {
        using var folder = new TestFolder();
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        await using (var file = File.Create(folder["image"])) file.SetLength(Bytes);
        for (var round = 0; round < 3; round++)
        {
            await using var server = await ReferenceServer.NbdkitFileAsync(folder["image"]);
            await LoadAndKillAsync(server, history, round);
            await using var again = await ReferenceServer.NbdkitFileAsync(folder["image"]);
            Assert.Empty(history.AcceptAfterCrash(await Image.ReadAsync(again.Port, history), Promise.Acknowledged));
        }
    }

    [Fact]
    public async Task A_server_that_forgets_everything_is_noticed()
    {
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        await using var server = await ReferenceServer.NbdkitMemoryAsync("16M");
        await LoadAndKillAsync(server, history, 7);
        await using var again = await ReferenceServer.NbdkitMemoryAsync("16M");
        var image = await Image.ReadAsync(again.Port, history);
        Assert.NotEmpty(history.AcceptAfterCrash(image, Promise.Flushed));
    }

    // One acknowledged sector replaced by an older write, by a write to elsewhere, and by noise: each is a breach.
    [Theory]
    [InlineData("older")]
    [InlineData("elsewhere")]
    [InlineData("noise")]
    [InlineData("resurrected")]
    public async Task One_wrong_sector_is_noticed(string how)
    {
        using var folder = new TestFolder();
        await using (var file = File.Create(folder["image"])) file.SetLength(Bytes);
        var history = new ImageHistory(Disk, 1, Bytes, new Sequencer());
        long lost;
        await using (var server = await ReferenceServer.NbdkitFileAsync(folder["image"]))
        {
            await WriteAsync(server, history, 100, 8);
            lost = history.TryBegin(OperationKind.Write, 300, 8)!.Sequence;
            Assert.Empty(history.AcceptAfterCrash(await Image.ReadAsync(server.Port, history), Promise.Acknowledged));
            await WriteAsync(server, history, 100, 8);
            await WriteAsync(server, history, 200, 8);
        }

        var (sector, from, sequence) = how switch
        {
            "older" => (101, 101, 1),
            "elsewhere" => (102, 202, history.Operations[^1].Sequence),
            "resurrected" => (300, 300, lost),
            _ => (103, 0, 0),
        };
        var content = new byte[SectorStamp.Bytes];
        if (how == "noise") new Random(1).NextBytes(content);
        else SectorStamp.Fill(content, 1, (long)from * SectorStamp.Bytes, sequence);
        await using (var file = File.OpenWrite(folder["image"]))
        {
            file.Position = (long)sector * SectorStamp.Bytes;
            file.Write(content);
        }

        await using var again = await ReferenceServer.NbdkitFileAsync(folder["image"]);
        var breach = Assert.Single(
            history.AcceptAfterCrash(await Image.ReadAsync(again.Port, history), Promise.Acknowledged));
        Assert.Contains($"sector {sector}:", breach, StringComparison.Ordinal);
    }

    private static async Task WriteAsync(ReferenceServer server, ImageHistory history, int sector, int sectors)
    {
        var operation = history.TryBegin(OperationKind.Write, sector, sectors)!;
        var data = new byte[operation.Length];
        SectorStamp.Fill(data, history.Number, operation.Offset, operation.Sequence);
        await using var client = await Wire.NbdClient.ConnectAsync(server.Port, Disk);
        await client.WriteAsync(operation.Offset, data);
        history.Acknowledge(operation);
    }

    private static async Task LoadAndKillAsync(ReferenceServer server, ImageHistory history, int seed)
    {
        var load = new Load(history, seed);
        var running = load.RunAsync(server.Port, CancellationToken.None);
        await Task.Delay(400, TestContext.Current.CancellationToken);
        await server.KillAsync();
        await running;
        Assert.True(load.LostConnection);
        Assert.True(load.Flushes > 0 && load.CheckedReads > 0);
    }
}
