using System.Text.Json;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Interop;

// Access rules of a real server, as real clients meet them.
public sealed class AccessTests(ZeroFlowBinary binary)
{
    [Fact]
    public async Task Clients_see_what_the_rules_let_them_have_and_no_more()
    {
        using var folder = new TestFolder();
        await using var server = await StartAsync(
            folder, "--access", "disk=10.0.0.0/8", "--access", "shared=127.0.0.0/8:read-only", "--access", "*=any");
        using var list = JsonDocument.Parse(
            await Tool.RunAsync("nbdinfo", "--list", "--json", $"nbd://127.0.0.1:{server.Port}"));
        Assert.Equal(
            ["free", "shared"],
            list.RootElement.GetProperty("exports").EnumerateArray().Select(e => e.GetProperty("export-name").GetString()));
        Assert.NotEqual(0, (await Tool.TryAsync("nbdinfo", server.Uri("disk"))).Status);

        using var shared = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--json", server.Uri("shared")));
        Assert.True(shared.RootElement.GetProperty("exports")[0].GetProperty("is_read_only").GetBoolean());
        Assert.NotEqual(0, (await Tool.TryAsync("qemu-io", "-f", "raw", "-c", "write 0 4k", server.Uri("shared"))).Status);
        await Tool.RunAsync("qemu-io", "-f", "raw", "-c", "write 0 4k", "-c", "flush", server.Uri("free"));
        Assert.Contains("'disk', which it may not have", server.Log, StringComparison.Ordinal);
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task A_certificate_opens_what_it_is_for()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await StartAsync(
            folder, [.. files.Options("require"), "--access", "disk=cert:a client", "--access", "shared=cert:another"]);
        await Tool.RunAsync("nbdinfo", Uri("disk"));
        Assert.NotEqual(0, (await Tool.TryAsync("nbdinfo", Uri("shared"))).Status);
        Assert.Equal(0, await server.StopAsync());

        string Uri(string export) => $"nbds://localhost:{server.Port}/{export}?tls-certificates={files.Client}";
    }

    private async Task<ZeroFlowServer> StartAsync(TestFolder folder, params string[] options) =>
        await ZeroFlowServer.StartAsync(new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("store-data"))
        {
            Exports = ["disk:64M", "shared:64M", "free:64M"],
            Options = options,
        });
}
