using System.Text.Json;
using ZeroFlow.SystemTests.Faults;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Operations;

// What README says under "Exports, snapshots, clones, images", done in that order by somebody with nothing but the
// program and NBD clients. The server is killed in between, and each time everything must be there again.
public sealed class ControlTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const long Mebi = 1024 * 1024;

    [Theory]
    [InlineData(StorePlace.Directory)]
    [InlineData(StorePlace.Radosgw)]
    public async Task Exports_snapshots_clones_and_images_are_managed_as_the_readme_says_and_outlive_kills(string kind)
    {
        Require.Tool("qemu-io", "qemu-img", "nbdinfo");
        using var folder = new TestFolder();
        var settings = await SettingsAsync(folder, kind);
        var admin = new Operator(
            settings.Binary, "--admin", $"127.0.0.1:{settings.AdminPort}", "--admin-token-file", folder["token"]);
        var owner = new Operator(settings.Binary, "--admin", $"unix:{folder["admin"]}");

        var server = await ZeroFlowServer.StartAsync(settings);
        try
        {
            await MakeAndSnapshotAsync(server, admin);
            server = await KilledAsync(server, settings);
            await CloneAndRollBackAsync(server, owner);
            server = await KilledAsync(server, settings);
            await GrowAndRenameAsync(server, admin);

            // The configuration still has the name that was given up.
            settings = settings with { Exports = ["db:64M:published"] };
            server = await KilledAsync(server, settings);
            Refusals.AssertSays(server, "'db' that is configured is not made: it was renamed to 'main'");
            await LookAfterAsync(server, owner);
            await CopyOutAndInAsync(server, admin, folder);
            server = await KilledAsync(server, settings);
            await CompareAsync(server, "copy", folder["image"]);
            await DeleteAsync(server, owner);
            settings = settings with { Exports = [] };
            server = await KilledAsync(server, settings);
            Assert.Equal(["copy", "test"], await admin.NamesAsync());
            await HoldsAsync(server, "test", "read -P 3 0 1M", "read -P 1 1M 7M");
            Assert.Equal(0, await server.StopAsync());
        }
        finally
        {
            await server.DisposeAsync();
        }

        Assert.False(File.Exists(folder["admin"]));
    }

    [Fact]
    public async Task Nobody_gets_in_without_the_token_and_a_token_that_others_can_read_is_refused()
    {
        using var folder = new TestFolder();
        var settings = await SettingsAsync(folder, StorePlace.Directory);
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        {
            var (status, said) = await new Operator(
                settings.Binary, "--admin", $"127.0.0.1:{settings.AdminPort}", "--data", settings.Data).TryAsync("stats");
            Assert.Equal(7, status);
            Assert.Contains("A token is needed", said, StringComparison.Ordinal);
            Assert.False(File.Exists(Path.Combine(settings.Data, "admin.token")));

            // Another server at the same socket is refused, and does not take it away.
            var second = settings with { Data = folder.Make("other"), Port = FreePorts.Take(), AdminPort = FreePorts.Take() };
            await Refusals.AssertRefusesAsync(second, "Cannot start: The admin socket .* it is in use");
            Assert.Empty(await new Operator(settings.Binary, "--admin", $"unix:{folder["admin"]}").NamesAsync());
            Assert.Equal(0, await server.StopAsync());
        }

        File.SetUnixFileMode(folder["token"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        await Refusals.AssertRefusesAsync(settings, "Cannot start: The admin token .*: chmod 600 ");
    }

    private static async Task MakeAndSnapshotAsync(ZeroFlowServer server, Operator admin)
    {
        Assert.Empty(await admin.NamesAsync());
        var made = await admin.AskAsync("export", "create", "db", "64M", "--level", "published");
        Assert.Equal(
            ("db", 64 * Mebi, "published", false),
            (made.GetProperty("name").GetString(), Size(made), made.GetProperty("level").GetString(), made.GetProperty("readOnly").GetBoolean()));
        await admin.AskAsync("export", "create", "db", "64M");
        Assert.Equal(6, (await admin.TryAsync("export", "create", "db", "32M")).Status);
        await WriteAsync(server, "db", "write -P 1 0 8M", "flush");
        var taken = (await admin.AskAsync("snapshot", "before", "db")).GetProperty("exports");
        Assert.Equal("db@before", Assert.Single(taken.EnumerateArray()).GetProperty("name").GetString());
        await WriteAsync(server, "db", "write -P 2 2M 4M", "discard 12M 1M", "flush");
        await HoldsAsync(server, "db@before", "read -P 1 0 8M", "read -P 0 8M 56M");
    }

    private static async Task CloneAndRollBackAsync(ZeroFlowServer server, Operator admin)
    {
        Assert.Equal(["db", "db@before"], await admin.NamesAsync());
        await HoldsAsync(server, "db", "read -P 1 0 2M", "read -P 2 2M 4M", "read -P 1 6M 2M");
        await HoldsAsync(server, "db@before", "read -P 1 0 8M", "read -P 0 8M 56M");
        var clone = await admin.AskAsync("clone", "db@before", "test");
        Assert.Equal(64 * Mebi, Size(clone));
        await WriteAsync(server, "test", "write -P 3 0 1M", "flush");
        await HoldsAsync(server, "test", "read -P 3 0 1M", "read -P 1 1M 7M", "read -P 0 8M 56M");
        await HoldsAsync(server, "db", "read -P 1 0 2M", "read -P 2 2M 4M", "read -P 1 6M 2M");
        await HoldsAsync(server, "db@before", "read -P 1 0 8M");
        await admin.DetachedAsync("db");
        Assert.Equal("db", (await admin.AskAsync("rollback", "db@before")).GetProperty("name").GetString());
        await HoldsAsync(server, "db", "read -P 1 0 8M", "read -P 0 8M 56M");
    }

    private static async Task GrowAndRenameAsync(ZeroFlowServer server, Operator admin)
    {
        await HoldsAsync(server, "db", "read -P 1 0 8M", "read -P 0 8M 56M");
        Assert.Equal(128 * Mebi, Size(await admin.AskAsync("export", "grow", "db", "128M")));
        Assert.Equal($"{128 * Mebi}", (await Tool.RunAsync("nbdinfo", "--size", server.Uri("db"))).Trim());
        await WriteAsync(server, "db", "write -P 4 100M 1M", "flush");
        await admin.AskAsync("export", "set", "db", "--name", "main", "--description", "the one that counts");
        Assert.Equal(5, (await admin.TryAsync("export", "info", "db")).Status);
    }

    private static async Task LookAfterAsync(ZeroFlowServer server, Operator admin)
    {
        Assert.Equal(["main", "main@before", "test"], await admin.NamesAsync());
        var main = await admin.AskAsync("export", "info", "main");
        Assert.Equal((128 * Mebi, "the one that counts"), (Size(main), main.GetProperty("description").GetString()));
        Assert.Equal(64 * Mebi, Size(await admin.AskAsync("export", "info", "main@before")));
        await HoldsAsync(server, "main", "read -P 1 0 8M", "read -P 0 8M 92M", "read -P 4 100M 1M", "read -P 0 101M 27M");
        await admin.AskAsync("flush");
        var status = await admin.AskAsync("stats");
        Assert.Equal(("serving", 0L), (status.GetProperty("phase").GetString(), status.GetProperty("dirtyBytes").GetInt64()));
        Assert.True(status.GetProperty("bucketReachable").GetBoolean());
        var report = (await admin.AskAsync("scrub")).GetProperty("report");
        Assert.Empty(report.GetProperty("findings").EnumerateArray());
        Assert.True(report.GetProperty("tables").GetInt64() > 0);
    }

    private static async Task CopyOutAndInAsync(ZeroFlowServer server, Operator admin, TestFolder folder)
    {
        await admin.AskAsync("export", "main", folder["image"]);
        Assert.Equal(128 * Mebi, new FileInfo(folder["image"]).Length);
        await CompareAsync(server, "main", folder["image"]);
        await admin.AskAsync("export", "main@before", folder["before"]);
        await CompareAsync(server, "main@before", folder["before"]);
        await admin.AskAsync("export", "create", "copy", "128M", "--level", "published");
        await admin.AskAsync("import", folder["image"], "copy");
    }

    private static async Task DeleteAsync(ZeroFlowServer server, Operator admin)
    {
        Assert.Equal(["copy", "main", "main@before", "test"], await admin.NamesAsync());
        Assert.Equal(6, (await admin.TryAsync("export", "rm", "main")).Status);
        await admin.AskAsync("export", "rm", "main@before");
        await admin.DetachedAsync("main");
        await admin.AskAsync("export", "rm", "main");
        Assert.Equal(5, (await admin.TryAsync("export", "rm", "main")).Status);
        Assert.NotEqual(0, (await Tool.TryAsync("nbdinfo", server.Uri("main"))).Status);
    }

    private static async Task<ZeroFlowServer> KilledAsync(ZeroFlowServer server, ServerSettings settings)
    {
        await server.KillAsync();
        await server.DisposeAsync();
        return await ZeroFlowServer.StartAsync(settings);
    }

    private static long Size(JsonElement export) => export.GetProperty("sizeBytes").GetInt64();

    private static async Task CompareAsync(ZeroFlowServer server, string export, string image) =>
        await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", image, server.Uri(export));

    private static async Task WriteAsync(ZeroFlowServer server, string export, params string[] commands) =>
        await Tool.RunAsync("qemu-io", ["-f", "raw", "-t", "none", .. commands.SelectMany(c => new[] { "-c", c }), server.Uri(export)]);

    private static async Task HoldsAsync(ZeroFlowServer server, string export, params string[] reads)
    {
        var output = await Tool.RunAsync(
            "qemu-io", ["-r", "-f", "raw", "-t", "none", .. reads.SelectMany(c => new[] { "-c", c }), server.Uri(export)]);
        Assert.DoesNotContain("verification failed", output, StringComparison.OrdinalIgnoreCase);
    }

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, string kind) =>
        new(await binary.PathAsync(), await StorePlace.NewAsync(kind, folder, gateway), folder.Make("data"))
        {
            Exports = [],
            Options = ["--admin-token-file", folder["token"], "--admin-socket", folder["admin"]],
            Tuning = new Dictionary<string, string> { ["PublishInterval"] = "100ms" },
        };
}
