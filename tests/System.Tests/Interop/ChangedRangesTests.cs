using System.Globalization;
using System.Text.Json;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Interop;

// Incremental backups with other people's tools: what has changed since a snapshot, and nothing else, is copied.
public sealed class ChangedRangesTests(ZeroFlowBinary binary)
{
    private const string Disk = "disk";
    private const long Mebi = 1024 * 1024;

    [Fact]
    public async Task A_full_backup_and_the_changed_extents_make_the_later_snapshot()
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"{Disk}:{TestImage.Bytes}"],
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        TestImage.Make(folder["image"], seed: 21);
        await Clients.CopyInAsync(folder["image"], server.Uri(Disk), connections: 4);
        await SnapshotAsync(settings, "monday");
        await Tool.RunAsync(
            "qemu-img", "convert", "-f", "raw", "-O", "raw", server.Uri($"{Disk}@monday"), folder["backup"]);

        await Tool.RunAsync(
            "qemu-io", "-f", "raw", "-t", "none", "-c", "write -P 7 5M 3M", "-c", "write -P 8 12345 777", "-c",
            "discard 20M 1M", "-c", "write -z 40M 512k", "-c", "write -P 9 100M 64k", "-c", "flush", server.Uri(Disk));
        await SnapshotAsync(settings, "tuesday");
        await Tool.RunAsync("qemu-io", "-f", "raw", "-c", "write -P 10 200M 1M", "-c", "flush", server.Uri(Disk));

        var changed = await ChangedAsync(server, $"{Disk}@tuesday", "monday");
        Assert.InRange(changed.Sum(extent => extent.Length), 3 * Mebi, 5 * Mebi);
        await RestoreAsync(server.Port, $"{Disk}@tuesday", changed, folder["backup"]);
        await Tool.RunAsync(
            "qemu-img", "compare", "-f", "raw", "-F", "raw", folder["backup"], server.Uri($"{Disk}@tuesday"));

        // The same for the export itself, behind a restart.
        Assert.Equal(0, await server.StopAsync());
        await using var again = await ZeroFlowServer.StartAsync(settings);
        changed = await ChangedAsync(again, Disk, "tuesday");
        Assert.Equal([(200 * Mebi, Mebi)], changed);
        await RestoreAsync(again.Port, Disk, changed, folder["backup"]);
        await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", folder["backup"], again.Uri(Disk));
        Assert.Equal(0, await again.StopAsync());
    }

    private static Task<string> SnapshotAsync(ServerSettings settings, string name) => Tool.RunAsync(
        settings.Binary, "snapshot", name, Disk, "--admin", $"127.0.0.1:{settings.AdminPort}", "--data", settings.Data);

    // As nbdinfo sees it, and as QEMU does, which calls the bit of a dirty bitmap "no data".
    private static async Task<List<(long Offset, long Length)>> ChangedAsync(
        ZeroFlowServer server, string export, string since)
    {
        var context = $"zeroflow:changed:{since}";
        using var info = JsonDocument.Parse(await Tool.RunAsync("nbdinfo", $"--map={context}", "--json", server.Uri(export)));
        List<(long, long)> changed = [.. info.RootElement.EnumerateArray()
            .Where(run => run.GetProperty("type").GetInt32() == 1)
            .Select(run => (run.GetProperty("offset").GetInt64(), run.GetProperty("length").GetInt64()))];

        var port = server.Port.ToString(CultureInfo.InvariantCulture);
        using var map = JsonDocument.Parse(await Tool.RunAsync(
            "qemu-img", "map", "--output=json", "--image-opts",
            $"driver=nbd,host=127.0.0.1,port={port},export={export},x-dirty-bitmap={context}"));
        Assert.Equal(changed, map.RootElement.EnumerateArray()
            .Where(run => !run.GetProperty("data").GetBoolean())
            .Select(run => (run.GetProperty("start").GetInt64(), run.GetProperty("length").GetInt64())));
        return changed;
    }

    private static async Task RestoreAsync(
        int port, string export, List<(long Offset, long Length)> extents, string path)
    {
        await using var client = await NbdClient.ConnectAsync(port, export);
        await using var file = File.OpenWrite(path);
        foreach (var (offset, length) in extents)
        {
            var bytes = new byte[length];
            await client.ReadAsync(offset, bytes);
            file.Position = offset;
            await file.WriteAsync(bytes);
        }

        await client.DisconnectAsync();
    }
}
