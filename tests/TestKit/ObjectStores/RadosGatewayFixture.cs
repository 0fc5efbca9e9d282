using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace ZeroFlow.TestKit.ObjectStores;

/// <summary>
/// A real S3 server (Ceph RADOS Gateway, objects in memory) for one test run. It starts with the first
/// <see cref="StartAsync"/>, so that runs which do not need it do not pay for it.
/// </summary>
public sealed class RadosGatewayFixture : IAsyncDisposable
{
    public const string Bucket = "zeroflow-test";
    public const string AccessKey = "zeroflow";
    public const string SecretKey = "zeroflow-secret";

    private static readonly string[] Tools =
        ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool", "curl"];

    // Some seconds on a quiet machine.
    private static readonly TimeSpan StartTimeout = TimeSpan.FromMinutes(2);

    private readonly Lazy<Task<Uri>> _endpoint;
    private readonly string _directory;
    private bool _isStarted;

    public RadosGatewayFixture()
    {
        _directory = Path.Combine(Path.GetTempPath(), $"zeroflow-rgw-{Environment.ProcessId}");
        _endpoint = new Lazy<Task<Uri>>(RunUpScriptAsync);
    }

    /// <summary>Why the server cannot run here, or null when it can.</summary>
    public static string? WhyUnavailable()
    {
        string[] places = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        string[] missing = [.. Tools.Where(tool => !places.Any(place => File.Exists(Path.Combine(place, tool))))];
        if (missing.Length > 0) return $"radosgw cannot run here: {string.Join(", ", missing)} not found in PATH";
        return Environment.IsPrivilegedProcess ? null : "radosgw cannot run here: its daemons are started as root";
    }

    /// <summary>The running server's address.</summary>
    public Task<Uri> StartAsync() => _endpoint.Value;

    /// <summary>The URL of a store below <paramref name="prefix"/>, once the server runs.</summary>
    public async Task<string> UrlOfAsync(string prefix) => $"s3://{Bucket}/{prefix}?endpoint={await StartAsync()}";

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_isStarted) await RunScriptAsync("rgw-down.sh", [_directory, "purge"], new Dictionary<string, string>());
    }

    private async Task<Uri> RunUpScriptAsync()
    {
        _isStarted = true;
        int port = FindFreePort();
        await RunScriptAsync(
            "rgw-up.sh",
            [_directory, AccessKey, SecretKey, Bucket],
            new Dictionary<string, string>
            {
                ["PORT"] = port.ToString(System.Globalization.CultureInfo.InvariantCulture),
                ["STORE"] = "memstore",
                ["SIZE_GB"] = "2",
                ["INSTALL"] = "0",
            });
        return new Uri($"http://127.0.0.1:{port}/");
    }

    /// <summary>A port that is free with the 150 above it, which the cluster's daemons use.</summary>
    private static int FindFreePort()
    {
        var random = new Random(Environment.ProcessId);
        for (int attempt = 0; attempt < 100; attempt++)
        {
            int port = random.Next(20_000, 32_000);
            if (IsFree(port) && IsFree(port + 90) && IsFree(port + 91) && IsFree(port + 100)) return port;
        }

        throw new InvalidOperationException("No free ports were found for radosgw.");
    }

    private static bool IsFree(int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task RunScriptAsync(
        string script, string[] arguments, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo("bash") { RedirectStandardError = true, RedirectStandardOutput = true };
        start.ArgumentList.Add(Path.Combine(FindRepository(), "tests", "scripts", "s3", script));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        foreach ((string name, string value) in environment) start.Environment[name] = value;

        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        using var timeout = new CancellationTokenSource(StartTimeout);
        await process.WaitForExitAsync(timeout.Token);
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{script} failed: {await output}{await errors}");
    }

    private static string FindRepository()
    {
        for (DirectoryInfo? place = new(AppContext.BaseDirectory); place is not null; place = place.Parent)
        {
            if (File.Exists(Path.Combine(place.FullName, "ZeroFlow.sln"))) return place.FullName;
        }

        throw new InvalidOperationException("The tests do not run from a build inside the repository.");
    }
}
