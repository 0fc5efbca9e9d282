using System.Globalization;
using System.Net;
using System.Net.Sockets;
using ZeroFlow.Perf.Commands;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Peers;

/// <summary>
/// A kind of server that can be measured. All serve one export over TCP on the loopback, with the durability that
/// <see cref="Promise"/> says: figures of peers with different promises are not a race.
/// </summary>
/// <param name="Name">Name on the command line and in reports.</param>
/// <param name="Promise">What its FLUSH does.</param>
/// <param name="VersionCommand">Program and argument that print its version.</param>
/// <param name="Prepare">Makes its files and its command line.</param>
internal sealed record Peer(
    string Name, string Promise, string VersionCommand, Func<PeerContext, PeerCommand> Prepare)
{
    private const string Host = "127.0.0.1";

    public static IReadOnlyList<Peer> All { get; } =
    [
        ZeroFlow("zeroflow", "journaled", "FLUSH: WAL fdatasync (journaled)"),
        ZeroFlow("zeroflow-published", "published", "FLUSH: a table in the object store (published)"),
        new("nbdkit-memory", "nothing is durable; FLUSH is a no-op", "nbdkit --version", NbdkitMemory),
        new("nbdkit-file", "FLUSH: fdatasync of one file", "nbdkit --version", NbdkitFile),
        new("qemu-nbd", "FLUSH: fdatasync of one file", "qemu-nbd --version", QemuNbd),
        new("s3backer-sync", "every write waits for a PUT of its block", S3Backer.VersionCommand, context =>
            S3BackerWith(context, S3Backer.WriteThrough)),
        new("s3backer-back", "nothing is durable for a while; FLUSH is a no-op", S3Backer.VersionCommand, context =>
            S3BackerWith(context, S3Backer.WriteBack)),
        new(
            "emulated-barrier", "an emulation: FLUSH waits for four S3 round trips and holds all else; nothing is durable", "",
            EmulatedBarrier),
    ];

    /// <exception cref="FormatException">There is no such peer.</exception>
    public static Peer Named(string name) =>
        All.FirstOrDefault(peer => peer.Name == name) ?? throw new FormatException(
            $"'{name}' is not a peer; there are {string.Join(", ", All.Select(peer => peer.Name))}");

    public bool IsZeroFlow => Name.StartsWith("zeroflow", StringComparison.Ordinal);

    /// <summary>nbdkit on a file that is there already, and stays.</summary>
    public static Peer ServingFile(string path) => new("image", "FLUSH: fdatasync of one file", "", _ => NbdkitFile(path));

    /// <summary>Whether it keeps its blocks in an object store.</summary>
    public bool IsOverStore => IsZeroFlow || Name.StartsWith("s3backer", StringComparison.Ordinal);

    /// <summary>Whether it stands for a server that is not here.</summary>
    public bool IsEmulation => Name.StartsWith("emulated", StringComparison.Ordinal);

    private static Peer ZeroFlow(string name, string level, string promise) =>
        new(name, promise, "", context => ZeroFlow(context, level));

    private static PeerCommand ZeroFlow(PeerContext context, string level)
    {
        var program = context.ZeroFlowPath ??
            throw new FormatException("A ZeroFlow peer needs --zeroflow with the path of the published host.");
        var store = context.StoreUrl ??
            $"file://{Directory.CreateDirectory(Path.Combine(context.Directory, "store")).FullName}";
        var data = Directory.CreateDirectory(Path.Combine(context.Directory, "data")).FullName;
        var port = FreePort();
        var admin = FreePort();
        string[] arguments =
        [
            "serve", "--store", store, "--data", data,
            "--listen", EndPoint(port), "--admin", EndPoint(admin),
            "--export", string.Create(CultureInfo.InvariantCulture, $"perf:{context.ExportBytes}:{level}"),
        ];
        var byRuntime = program.EndsWith(".dll", StringComparison.Ordinal);
        return new PeerCommand(
            byRuntime ? "dotnet" : program, byRuntime ? [program, .. arguments] : arguments, UriOf(port, "perf"))
        {
            ReadyUri = new Uri($"http://{EndPoint(admin)}/readyz"),
            MetricsUri = new Uri($"http://{EndPoint(admin)}/metrics"),
            Environment = new Dictionary<string, string> { ["ZEROFLOW_PASSPHRASE"] = "a passphrase for measuring" },
        };
    }

    private static PeerCommand NbdkitMemory(PeerContext context)
    {
        var port = FreePort();
        return new PeerCommand("nbdkit", [.. NbdkitListen(port), "memory", Text(context.ExportBytes)], UriOf(port, ""));
    }

    private static PeerCommand NbdkitFile(PeerContext context) => NbdkitFile(CreateImage(context));

    private static PeerCommand NbdkitFile(string path)
    {
        var port = FreePort();
        return new PeerCommand("nbdkit", [.. NbdkitListen(port), "file", path], UriOf(port, ""));
    }

    private static PeerCommand QemuNbd(PeerContext context)
    {
        var port = FreePort();
        string[] arguments =
        [
            "--bind", Host, "--port", Text(port), "--persistent", "--shared", "16", "--format", "raw",
            "--cache", "writeback", CreateImage(context),
        ];
        return new PeerCommand("qemu-nbd", arguments, UriOf(port, ""));
    }

    private static PeerCommand S3BackerWith(PeerContext context, IReadOnlyList<string> options)
    {
        var port = FreePort();
        return new PeerCommand("bash", S3Backer.Arguments(context, port, options), UriOf(port, ""));
    }

    private static PeerCommand EmulatedBarrier(PeerContext context)
    {
        var port = FreePort();
        string[] arguments =
        [
            EmulateCommand.Name, CreateImage(context), Text(port),
            "--median-ms", context.StoreLatency.TotalMilliseconds.ToString(CultureInfo.InvariantCulture),
        ];
        return new PeerCommand(Path.Combine(AppContext.BaseDirectory, "zeroflow-perf"), arguments, UriOf(port, ""));
    }

    private static string[] NbdkitListen(int port) =>
        ["--foreground", "--exit-with-parent", "--ipaddr", Host, "--port", Text(port)];

    private static string CreateImage(PeerContext context)
    {
        var path = Path.Combine(context.Directory, "disk.img");
        using var image = File.Create(path);
        image.SetLength(context.ExportBytes);
        return path;
    }

    private static NbdUri UriOf(int port, string export) => new(Host, port, null, export);

    private static string EndPoint(int port) => string.Create(CultureInfo.InvariantCulture, $"{Host}:{port}");

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    // Between here and the server's bind another process may take the port: the server then fails to start, loudly.
    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
