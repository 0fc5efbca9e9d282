using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Postgres;

/// <summary>
/// A running guest: a real Linux kernel with its NBD client, OpenZFS and PostgreSQL, as a process
/// (scripts/build-guest.sh makes it). It does one job and ends. Only one at a time: they share their root directory.
/// </summary>
internal sealed partial class Guest : IAsyncDisposable
{
    /// <summary>This machine's loopback, as the guest sees it.</summary>
    public const string Host = "10.0.2.2";

    private const string MemoryMiB = "1536";

    private readonly ChildProcess _kernel;
    private readonly ChildProcess _network;
    private readonly string _job;

    private Guest(ChildProcess kernel, ChildProcess network, string job)
    {
        _kernel = kernel;
        _network = network;
        _job = job;
    }

    /// <summary>All that the guest printed on its console so far.</summary>
    public string Console => _kernel.Output;

    private static string Home => Environment.GetEnvironmentVariable("ZEROFLOW_GUEST")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "zeroflow-guest");

    /// <summary>Skips the test, saying why, where there is no guest.</summary>
    public static void RequireBuilt()
    {
        if (File.Exists(Path.Combine(Home, "recipe"))) return;
        string log = Path.Combine(Home, "build.log");
        string last = File.Exists(log) ? File.ReadLines(log).LastOrDefault() ?? "" : "it was never built";
        Assert.Skip($"There is no guest with ZFS and PostgreSQL in {Home} (scripts/build-guest.sh builds it): {last}");
    }

    /// <summary>What guests see as /jobs.</summary>
    public static string Jobs => Path.Combine(Home, "root/jobs");

    /// <summary>A file that jobs can wait for, as /jobs/NAME.</summary>
    public static void Signal(string name, bool isSet)
    {
        string file = Path.Combine(Jobs, name);
        if (isSet) File.WriteAllText(file, "");
        else File.Delete(file);
    }

    /// <summary>Starts a guest that runs the library and then <paramref name="job"/>, a piece of bash.</summary>
    /// <param name="job">What it does.</param>
    /// <param name="folder">Where sockets go.</param>
    /// <param name="disks">Sockets of vhost-user block devices: /dev/vda and so on.</param>
    public static async Task<Guest> StartAsync(string job, TestFolder folder, params string[] disks)
    {
        string name = $"{folder.Name}-{Guid.NewGuid():N}", socket = folder[name + ".net"];
        string library = await File.ReadAllTextAsync(Path.Combine(ProjectRoot.Path, "tests/guest/library.sh"));
        string file = Path.Combine(Jobs, name);
        await File.WriteAllTextAsync(file, $"{library}\n{job}\n");
        string first = Path.Combine(Home, "root/guest-init");
        File.Copy(Path.Combine(ProjectRoot.Path, "tests/guest/init.sh"), first, overwrite: true);
        File.SetUnixFileMode(first, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var network = ChildProcess.Start("slirp4netns", ["--target-type=bess", "--disable-dns", socket]);
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30)))
        {
            while (!File.Exists(socket))
            {
                if (network.HasExited || patience.IsCancellationRequested) Assert.Fail($"There is no network for the guest:\n{network.Said}");
                await Task.Delay(50, CancellationToken.None);
            }
        }

        string[] arguments =
        [
            Path.Combine(Home, "linux"), $"mem={MemoryMiB}M", "root=/dev/root", "rootfstype=hostfs",
            $"rootflags={Path.Combine(Home, "root")}", "rw", "init=/guest-init", $"job={name}",
            $"vec0:transport=bess,dst={socket},depth=128,gro=1",
            .. disks.Select(static disk => $"virtio_uml.device={disk}:2"),
            "con0=fd:0,fd:1", "con=null", $"uml_dir={folder.Path}/", $"umid={name}", "quiet",
        ];

        // Its console reads from nowhere; a closed pipe would keep it busy.
        var kernel = ChildProcess.Start("sh", ["-c", "exec \"$@\" < /dev/null", "sh", .. arguments]);
        return new Guest(kernel, network, file);
    }

    /// <summary>Waits until the console shows a line; a guest that fails or ends before that fails the test.</summary>
    public async Task WaitForAsync(string line, TimeSpan patience) =>
        await WaitUntilAsync(console => console.Contains(line, StringComparison.Ordinal), line, patience);

    /// <summary>Waits until the console satisfies something.</summary>
    public async Task WaitUntilAsync(Func<string, bool> isSo, string what, TimeSpan patience)
    {
        using var limit = new CancellationTokenSource(patience);
        while (!isSo(Console))
        {
            if (_kernel.HasExited || Failed().IsMatch(Console) || limit.IsCancellationRequested)
                Assert.Fail($"The guest did not come to: {what}. Its console:\n{Tail(_kernel.Said)}");
            await Task.Delay(100, CancellationToken.None);
        }
    }

    /// <summary>Waits for the end of the job, which must have gone well.</summary>
    public async Task EndAsync(TimeSpan patience)
    {
        await WaitForAsync("GUEST END", patience);
        Assert.True(Console.Contains("GUEST END 0", StringComparison.Ordinal), Tail(_kernel.Said));
    }

    /// <summary>Ends it as a power failure would.</summary>
    public ValueTask KillAsync() => DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        await _kernel.DisposeAsync();
        await _network.DisposeAsync();
        File.Delete(_job);
    }

    private static string Tail(string console) =>
        string.Join('\n', console.Split('\n').Where(static line => !line.StartsWith("LEDGER", StringComparison.Ordinal)).TakeLast(60));

    [GeneratedRegex("^GUEST (FAILED|END)", RegexOptions.Multiline)]
    private static partial Regex Failed();
}
