using ZeroFlow.SystemTests.Interop;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.StandIns;

// The same demands as on ZeroFlow, made on other servers: where they fail here, the demand is wrong.
public sealed class ReferenceInteropTests
{
    [Theory]
    [InlineData("nbdkit")]
    [InlineData("qemu-nbd")]
    public async Task The_clients_are_content_with_other_servers(string name)
    {
        using var folder = new TestFolder();
        await using (var file = File.Create(folder["disk"])) file.SetLength(TestImage.Bytes);
        await using var server = name == "nbdkit"
            ? await ReferenceServer.NbdkitFileAsync(folder["disk"])
            : await ReferenceServer.QemuAsync(folder["disk"]);
        TestImage.Make(folder["image"], seed: 11);
        await Clients.InformAsync(server.Uri, TestImage.Bytes);
        if (name != "nbdkit") await Clients.ListAsync(server.Port, "disk");
        await Clients.VerifyAsync(server.Uri, jobs: 1);
        await Clients.VerifyAsync(server.Uri, jobs: 4);
        await Clients.CopyInAsync(folder["image"], server.Uri, connections: 4);
        await Clients.CopyOutAsync(server.Uri, folder["image"], folder["out"], connections: 4);
        await Clients.PatternsAsync(server.Uri);
        await Clients.ConvertAsync(folder["image"], server.Uri);
    }
}
