using System.Globalization;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.FileSystems;

// A file system of this machine's kernel on an export, with programs on it that know what must be there (as fsx and
// fsstress do), while the server is killed and comes back. QEMU's client waits for it, and asks again.
public sealed class ExerciseTests(ZeroFlowBinary binary)
{
    private const int Programs = 3;

    [Theory]
    [InlineData("ext4", "e2fsck", "-f", "-n")]
    [InlineData("xfs", "xfs_repair", "-n")]
    public async Task A_file_system_stays_whole_while_its_server_is_killed(string fileSystem, string checker, params string[] options)
    {
        if (!Require.Long) Assert.Skip("ZEROFLOW_LONG=1 runs it.");
        Require.Root();
        Require.Tool("qemu-storage-daemon", "losetup", "python3", $"mkfs.{fileSystem}", checker);
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = ["disk:640M"],
            Tuning = new Dictionary<string, string> { ["TableBytes"] = "2M", ["WalSegmentBytes"] = "8M", ["MemoryCacheBytes"] = "32M" },
        };
        var server = await ZeroFlowServer.StartAsync(settings);
        ChildProcess? client = null;
        string? loop = null;
        try
        {
            (client, loop) = await AttachAsync(folder, server.Port);
            await Tool.RunAsync($"mkfs.{fileSystem}", "-q", loop);
            await MountAsync(folder, loop);
            const int Seconds = 120;
            var running = Task.WhenAll(Enumerable.Range(1, Programs)
                .Select(seed => ExerciseAsync(folder, seed, Seconds.ToString(CultureInfo.InvariantCulture))));
            for (var kill = 0; kill < 12 && !running.IsCompleted; kill++)
            {
                await Task.WhenAny(running, Task.Delay(Seconds * 80, TestContext.Current.CancellationToken));
                await server.KillAsync();
                await server.DisposeAsync();
                server = await ZeroFlowServer.StartAsync(settings);
            }

            var operations = await running;
            await Tool.RunAsync("umount", folder["root"]);
            await Tool.RunAsync(checker, [.. options, loop]);

            // What is read now comes from the server.
            await MountAsync(folder, loop);
            await Task.WhenAll(Enumerable.Range(1, Programs).Select(seed => ExerciseAsync(folder, seed, "check")));
            await Tool.RunAsync("umount", folder["root"]);
            TestContext.Current.TestOutputHelper!.WriteLine($"{fileSystem}: {operations.Sum(int.Parse)} operations");
        }
        finally
        {
            await DetachAsync(folder, client, loop);
            await server.DisposeAsync();
        }
    }

    private static async Task<(ChildProcess Client, string Loop)> AttachAsync(TestFolder folder, int port)
    {
        var file = folder["device"];
        await File.WriteAllBytesAsync(file, []);
        folder.Make("root");
        var client = ChildProcess.Start(
            "qemu-storage-daemon",
            [
                "--blockdev",
                $"driver=nbd,node-name=disk,server.type=inet,server.host=127.0.0.1,server.port={port},export=disk,reconnect-delay=120",
                "--export", $"type=fuse,id=export,node-name=disk,mountpoint={file},writable=on",
            ]);
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (new FileInfo(file).Length == 0)
        {
            if (client.HasExited || patience.IsCancellationRequested) Assert.Fail($"There is no device:\n{client.Said}");
            await Task.Delay(50, CancellationToken.None);
        }

        return (client, (await Tool.RunAsync("losetup", "--find", "--show", "--direct-io=on", file)).Trim());
    }

    private static Task<string> MountAsync(TestFolder folder, string loop) =>
        Tool.RunAsync("mount", "-o", "noatime", loop, folder["root"]);

    private static Task<string> ExerciseAsync(TestFolder folder, int seed, string what) =>
        Tool.RunAsync("python3", ProjectRoot.File("tests/scripts/exercise-files.py"), folder["root"], $"{seed}", what);

    private static async Task DetachAsync(TestFolder folder, ChildProcess? client, string? loop)
    {
        await Tool.TryAsync("umount", folder["root"]);
        if (loop is not null) await Tool.TryAsync("losetup", "--detach", loop);
        if (client is null) return;
        client.Send(Signal.Terminate);
        await Task.WhenAny(client.ExitAsync(TimeSpan.FromSeconds(20)));
        if (!client.HasExited) await Tool.TryAsync("umount", "--lazy", folder["device"]);
        await client.DisposeAsync();
    }
}
