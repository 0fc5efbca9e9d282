using System.Globalization;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.FileSystems;

// A file system of this machine's kernel on an export, with programs on it that know what must be there (as fsx and
// fsstress do), while the server is killed and comes back. QEMU's client waits for it, and asks again; nbdfuse shows what
// QEMU serves as a file, and a loop device makes a block device of that. QEMU's own FUSE export must not take nbdfuse's
// place: that of QEMU 7.2 reads the next request into the buffer of a write that still waits to be sent (docs/testing.md).
// A witness between QEMU and the server tells a loss of the server's from one above it.
public sealed class ExerciseTests(ZeroFlowBinary binary)
{
    private const int Programs = 3;
    private const long Bytes = 640L * 1024 * 1024;

    [Theory]
    [InlineData("ext4", "e2fsck", "-f", "-n")]
    [InlineData("xfs", "xfs_repair", "-n")]
    public async Task A_file_system_stays_whole_while_its_server_is_killed(string fileSystem, string checker, params string[] options)
    {
        var (seconds, kills) = Require.Long ? (120, 12) : (6, 2);
        Require.Root();
        Require.Tool("qemu-storage-daemon", "nbdfuse", "losetup", "python3", $"mkfs.{fileSystem}", checker);
        using var folder = new TestFolder();
        folder.Make("root");
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = [$"disk:{Bytes}"],
            Tuning = new Dictionary<string, string> { ["TableBytes"] = "2M", ["WalSegmentBytes"] = "8M", ["MemoryCacheBytes"] = "32M" },
        };
        var server = await ZeroFlowServer.StartAsync(settings);
        var witness = new Witness(server.Port, Bytes);
        var device = new Device(folder);
        try
        {
            var loop = await device.AttachAsync(witness.Port);
            await Tool.RunAsync($"mkfs.{fileSystem}", "-q", loop);
            await MountAsync(folder, loop);
            var running = Task.WhenAll(Enumerable.Range(1, Programs)
                .Select(seed => ExerciseAsync(folder, seed, seconds.ToString(CultureInfo.InvariantCulture))));
            var killed = 0;
            while (killed < kills && !running.IsCompleted)
            {
                var pause = TimeSpan.FromSeconds((double)seconds / (kills + 2));
                await Task.WhenAny(running, Task.Delay(pause, TestContext.Current.CancellationToken));
                server = await KilledAndBackAsync(server, settings, witness, $"After kill {++killed} there were");

                // Longer and longer pauses lie between QEMU's attempts: one that is never let in gives up in the end.
                await Task.WhenAny(running, witness.OpenAsync());
            }

            var operations = await running;
            await Tool.RunAsync("umount", folder["root"]);
            await Tool.RunAsync(checker, [.. options, loop]);

            // What is read now comes from the server.
            await MountAsync(folder, loop);
            await Task.WhenAll(Enumerable.Range(1, Programs).Select(seed => ExerciseAsync(folder, seed, "check")));
            await Tool.RunAsync("umount", folder["root"]);
            server = await KilledAndBackAsync(server, settings, witness, "At the end there were");
            TestContext.Current.TestOutputHelper!.WriteLine(
                $"{fileSystem}: {operations.Sum(int.Parse)} operations, {killed} kills; {witness.Image.Answered} changes of the "
                + $"device were answered, {witness.Image.Lost} lost their connection");
        }
        finally
        {
            _ = witness.OpenAsync();
            await Tool.TryAsync("umount", folder["root"]);
            await device.DisposeAsync();
            await witness.DisposeAsync();
            await server.DisposeAsync();
        }
    }

    private static async Task<ZeroFlowServer> KilledAndBackAsync(
        ZeroFlowServer server, ServerSettings settings, Witness witness, string when)
    {
        witness.Close();
        await server.KillAsync();
        await server.DisposeAsync();
        var back = await ZeroFlowServer.StartAsync(settings);
        await witness.CheckAsync(when);
        return back;
    }

    private static Task<string> MountAsync(TestFolder folder, string loop) =>
        Tool.RunAsync("mount", "-o", "noatime", loop, folder["root"]);

    private static Task<string> ExerciseAsync(TestFolder folder, int seed, string what) =>
        Tool.RunAsync("python3", ProjectRoot.File("tests/scripts/exercise-files.py"), folder["root"], $"{seed}", what);
}
