using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Interop;

// Real clients from Debian's packages against a real server process, on both kinds of store.
public sealed class InteropTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Disk = "disk";

    [Theory]
    [InlineData(StorePlace.Directory, 1)]
    [InlineData(StorePlace.Directory, 4)]
    [InlineData(StorePlace.Radosgw, 1)]
    [InlineData(StorePlace.Radosgw, 4)]
    public async Task An_image_comes_back_bit_for_bit_also_after_a_restart(string store, int connections)
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(store, folder);
        TestImage.Make(folder["image"], seed: connections);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            await Clients.CopyInAsync(folder["image"], server.Uri(Disk), connections);
            await Clients.CopyOutAsync(server.Uri(Disk), folder["image"], folder["out"], connections);
            Assert.Equal(0, await server.StopAsync());
        }

        await using var again = await ZeroFlowServer.StartAsync(settings);
        await Clients.CopyOutAsync(again.Uri(Disk), folder["image"], folder["out"], connections);
        Assert.Equal(0, await again.StopAsync());
    }

    [Theory]
    [InlineData(StorePlace.Directory)]
    [InlineData(StorePlace.Radosgw)]
    public async Task Clients_of_all_kinds_are_served(string store)
    {
        using var folder = new TestFolder();
        await using var server = await ZeroFlowServer.StartAsync(await SettingsAsync(store, folder));
        var uri = server.Uri(Disk);
        await Clients.InformAsync(uri, TestImage.Bytes);
        await Clients.InformOfMoreAsync(uri);
        await Clients.ListAsync(server.Port, Disk);
        await Clients.PatternsAsync(uri);
        await Clients.MapAsync(uri, folder["map"], TestImage.Bytes);
        await Clients.VerifyAsync(uri, jobs: 1);
        await Clients.VerifyAsync(uri, jobs: 4);
        TestImage.Make(folder["image"], seed: 3);
        await Clients.ConvertAsync(folder["image"], uri);
        Assert.Equal(0, await server.StopAsync());
    }

    private async Task<ServerSettings> SettingsAsync(string store, TestFolder folder) =>
        new(await binary.PathAsync(), await StorePlace.NewAsync(store, folder, gateway), folder.Make("data"))
        {
            Exports = [$"{Disk}:{TestImage.Bytes}"],
        };
}
