namespace ZeroFlow.SystemTests.Running;

/// <summary>
/// A real S3 server, Ceph's RADOS gateway, started when the first test asks for it and stopped after the last.
/// </summary>
public sealed class RadosGateway : IAsyncDisposable
{
    public const string Bucket = "zeroflow-test";
    public const string AccessKey = "zeroflow";
    public const string SecretKey = "zeroflow-secret";

    private readonly Lazy<Task<int>> _port;
    private TestFolder? _folder;

    public RadosGateway() => _port = new Lazy<Task<int>>(StartAsync);

    public Task<int> PortAsync()
    {
        Require.Tool("radosgw", "ceph-mon", "ceph-osd", "ceph", "curl");
        return _port.Value;
    }

    public async ValueTask DisposeAsync()
    {
        if (_folder is null) return;
        await Script("rgw-down.sh", new Dictionary<string, string>(), _folder["ceph"], "purge");
        _folder.Dispose();
    }

    private async Task<int> StartAsync()
    {
        // The script takes the port itself and others up to 150 above it.
        var port = FreePorts.Take(160);
        _folder = new TestFolder();
        var settings = new Dictionary<string, string>
        {
            ["PORT"] = $"{port}",
            ["STORE"] = "memstore",
            ["SIZE_GB"] = "6",
        };
        await Script("rgw-up.sh", settings, _folder["ceph"], AccessKey, SecretKey, Bucket);
        return port;
    }

    private static async Task Script(string name, Dictionary<string, string> settings, params string[] arguments)
    {
        // The daemons inherit the script's streams otherwise, and its end would not be seen.
        var log = Path.GetTempFileName();
        try
        {
            var script = ProjectRoot.File($"tests/scripts/s3/{name}");
            await using var run = ChildProcess.Start(
                "bash", ["-c", "log=$1; shift; bash \"$@\" >\"$log\" 2>&1", "-", log, script, .. arguments], settings);
            var status = await run.ExitAsync(TimeSpan.FromMinutes(3));
            if (status != 0) Assert.Fail($"{name} ended with {status}:\n{await File.ReadAllTextAsync(log)}{run.Said}");
        }
        finally
        {
            File.Delete(log);
        }
    }
}
