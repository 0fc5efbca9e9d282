using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

// A second process serves what the store was, while the first one goes on writing it.
public sealed class PastTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const int Bytes = 8 * 1024 * 1024;

    [Theory]
    [InlineData(StorePlace.Directory)]
    [InlineData(StorePlace.Radosgw)]
    public async Task A_moment_is_served_read_only_beside_the_writer(string kind)
    {
        Require.Tool("qemu-img", "nbdcopy");
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), await StorePlace.NewAsync(kind, folder, gateway), folder.Make("data"))
        {
            Exports = [$"disk:{Bytes}:published"],
            Tuning = new Dictionary<string, string> { ["Retention"] = "1h", ["DeleteGrace"] = "0s", ["CheckpointTables"] = "1" },
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        await FillAsync(server, 1);
        await Tool.RunAsync("nbdcopy", server.Uri("disk"), folder["was"]);
        await Task.Delay(50, TestContext.Current.CancellationToken);
        DateTimeOffset moment = TimeProvider.System.GetUtcNow();
        await Task.Delay(50, TestContext.Current.CancellationToken);
        for (byte stamp = 2; stamp < 8; stamp++) await FillAsync(server, stamp);

        await using var past = await ZeroFlowServer.StartAsync(settings with
        {
            AsOf = moment,
            Data = folder.Make("other"),
            Exports = [],
            Port = FreePorts.Take(),
            AdminPort = FreePorts.Take(),
        });
        await FillAsync(server, 8);
        await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", folder["was"], past.Uri("disk"));
        await using (var client = await NbdClient.ConnectAsync(past.Port, "disk"))
        {
            await Assert.ThrowsAsync<NbdException>(() => client.WriteAsync(0, new byte[512]));
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(folder["other"]));
        Assert.Equal(0, await past.StopAsync());
        await FillAsync(server, 9);
        Assert.Equal(0, await server.StopAsync());
    }

    private static async Task FillAsync(ZeroFlowServer server, byte stamp)
    {
        await using var client = await NbdClient.ConnectAsync(server.Port, "disk");
        var data = new byte[512 * 1024];
        var random = new Random(stamp);
        for (long offset = 0; offset < Bytes; offset += data.Length)
        {
            random.NextBytes(data);
            await client.WriteAsync(offset, data);
        }

        await client.FlushAsync();
    }
}
