using System.Text.Json;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Interop;

// Real clients over TLS, all by way of GnuTLS, with certificates on both sides.
public sealed class TlsTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";

    [Fact]
    public async Task An_image_comes_back_bit_for_bit_over_TLS()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        var uri = Uri(server, files.Client);
        using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--json", uri));
        Assert.True(info.RootElement.GetProperty("TLS").GetBoolean());
        Assert.True(info.RootElement.GetProperty("structured").GetBoolean());

        TestImage.Make(folder["image"], seed: 8);
        await Clients.CopyInAsync(folder["image"], uri, connections: 4);
        await Clients.CopyOutAsync(uri, folder["image"], folder["out"], connections: 4);
        using var list = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--list", "--json", uri));
        Assert.Equal(Disk, list.RootElement.GetProperty("exports")[0].GetProperty("export-name").GetString());
        Assert.Equal(0, await server.StopAsync());
    }

    [Fact]
    public async Task QEMU_is_served_over_TLS()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        using var info = JsonDocument.Parse(
            await Tool.RunAsync("qemu-img", ["info", "--output=json", .. Image(server, files.Client)]));
        Assert.Equal(TestImage.Bytes, info.RootElement.GetProperty("virtual-size").GetInt64());

        TestImage.Make(folder["image"], seed: 9);
        await Tool.RunAsync(
            "qemu-img",
            [
                "convert", "-n", "-W", "-m", "16", "-f", "raw", "--target-image-opts", folder["image"],
                .. Target(server, files.Client),
            ]);
        await Clients.CopyOutAsync(Uri(server, files.Client), folder["image"], folder["out"], connections: 1);
        var read = await Tool.RunAsync(
            "qemu-io",
            [
                .. Image(server, files.Client), "-c", "write -P 0x5a 12345 70000", "-c", "flush", "-c",
                "read -P 0x5a 12345 70000", "-c", "discard 0 1M",
            ]);
        Assert.DoesNotContain("verification failed", read, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Clients_without_TLS_or_without_the_right_certificate_are_not_served()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        foreach (var uri in new[]
        {
            server.Uri(Disk), Uri(server, files.Stranger), Uri(server, files.WithoutCertificate),
        })
        {
            var (status, _, output) = await Tool.TryAsync("nbdinfo", "--json", uri);
            Assert.NotEqual(0, status);
            Assert.DoesNotContain("export-size", output, StringComparison.Ordinal);
        }

        var (listed, _, exports) = await Tool.TryAsync("nbdinfo", "--list", $"nbd://127.0.0.1:{server.Port}");
        Assert.DoesNotContain(Disk, exports, StringComparison.Ordinal);
        Assert.NotEqual(0, listed);
        Assert.NotEqual(0, (await Tool.TryAsync("qemu-img", ["info", .. Image(server, files.Stranger)])).Status);
        await Tool.RunAsync("nbdinfo", Uri(server, files.Client));
    }

    [Fact]
    public async Task Where_TLS_is_allowed_clients_choose()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "allow");
        foreach (var (uri, isSecure) in new[] { (server.Uri(Disk), false), (Uri(server, files.Client), true) })
        {
            using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", "--json", uri));
            Assert.Equal(isSecure, info.RootElement.GetProperty("TLS").GetBoolean());
        }
    }

    [Fact]
    public async Task The_client_of_the_reference_implementation_is_served_over_TLS()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        string[] list = ["-l", "127.0.0.1", $"{server.Port}"];
        string[] certificates =
        [
            "-certfile", Path.Combine(files.Client, "client-cert.pem"), "-keyfile",
            Path.Combine(files.Client, "client-key.pem"), "-cacertfile", Path.Combine(files.Client, "ca-cert.pem"),
            "-tlshostname", "127.0.0.1",
        ];
        Assert.Contains(
            Disk, await Tool.RunAsync("nbd-client", [.. list, .. certificates]), StringComparison.Ordinal);
        Assert.DoesNotContain(Disk, (await Tool.TryAsync("nbd-client", list)).Said, StringComparison.Ordinal);
    }

    // Goal: a session of weeks takes new keys every few hundred gigabytes, while replies are on their way.
    [Fact]
    public async Task A_session_goes_on_through_new_keys_in_both_directions()
    {
        const int Length = 100_000;
        const int Requests = 8;
        Require.Tool("nbdinfo");
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        using var client = new GnuTlsClient(server.Port, files.Client);
        client.Send([.. "IHAVEOPT"u8, 0, 0, 0, 7, 0, 0, 0, 10, 0, 0, 0, 4, .. "disk"u8, 0, 0]);
        client.Read(20 + 12 + 20);
        for (var round = 0; round < 12; round++)
        {
            client.UpdateKeys(both: round % 2 == 0);
            for (byte cookie = 0; cookie < Requests; cookie++)
            {
                client.Send(
                    [
                        0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, cookie, 0, 0, 0, 0, 0, 0, 0, 0,
                        .. BitConverter.GetBytes(Length).Reverse(),
                    ]);
                if (cookie == Requests / 2) client.UpdateKeys(both: false);
            }

            for (var i = 0; i < Requests; i++)
            {
                Assert.Equal([0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0], client.Read(16)[..8]);
                Assert.Equal(new byte[Length], client.Read(Length));
            }

            // GnuTLS takes eight updates a second for an attack.
            await Task.Delay(150, CancellationToken.None);
        }
    }

    // Goal: a renewed certificate needs no restart.
    [Fact]
    public async Task A_renewed_certificate_is_shown_by_a_running_server()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        await using var server = await ServeAsync(folder, files, "require");
        await Tool.RunAsync("nbdinfo", Uri(server, files.Client));
        files.WriteServer("a renewed server");
        for (var attempt = 0; !server.Log.Contains("for 'CN=a renewed server'", StringComparison.Ordinal); attempt++)
        {
            Assert.True(attempt < 60, server.Log);
            await Tool.RunAsync("nbdinfo", Uri(server, files.Client));
            await Task.Delay(500, CancellationToken.None);
        }
    }

    [Fact]
    public async Task A_key_that_others_can_read_is_refused_with_the_status_of_a_wrong_configuration()
    {
        using var folder = new TestFolder();
        using var files = new TlsFiles(folder);
        File.SetUnixFileMode(
            folder["server-key.pem"], UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        await using var server = ZeroFlowServer.Launch(await SettingsAsync(folder, files, "require"));
        Assert.Equal(2, await server.ExitAsync());
        Assert.Contains("chmod 600", server.Log, StringComparison.Ordinal);
    }

    private static string Uri(ZeroFlowServer server, string certificates) =>
        $"nbds://127.0.0.1:{server.Port}/{Disk}?tls-certificates={certificates}";

    private static string[] Image(ZeroFlowServer server, string certificates) =>
        ["--image-opts", .. Target(server, certificates)];

    private static string[] Target(ZeroFlowServer server, string certificates) =>
    [
        "--object", $"tls-creds-x509,id=tls0,endpoint=client,verify-peer=on,dir={certificates}",
        $"driver=nbd,server.type=inet,server.host=127.0.0.1,server.port={server.Port},export={Disk},tls-creds=tls0",
    ];

    private async Task<ZeroFlowServer> ServeAsync(TestFolder folder, TlsFiles files, string mode) =>
        await ZeroFlowServer.StartAsync(await SettingsAsync(folder, files, mode));

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, TlsFiles files, string mode) =>
        new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{TestImage.Bytes}"],
            Options = files.Options(mode),
        };
}
