using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Commands;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Tests.Control;

// A real store in a directory, behind the real admin endpoint, on a port of its own.
public sealed class ControlServer : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("zeroflow-control-").FullName;
    private readonly PipelineMetrics _pipeline = new();
    private readonly MetricCollector _collector;
    private readonly ServerState _state = new();
    private AdminEndpoint? _admin;
    private IStoreEngine? _store;

    public ControlServer() => _collector = new MetricCollector(meter => meter == _pipeline.Meter);

    public string DataDirectory => Path.Combine(_directory, "data");

    public string Address => _admin!.Address!.ToString();

    public string SocketPath => PathOf("admin.sock");

    public string Token => File.ReadAllText(Path.Combine(DataDirectory, AdminToken.FileName)).Trim();

    internal ControlApi Api { get; } = new();

    internal ServerState State => _state;

    internal bool LiveNeedsToken { get; init; }

    public string PathOf(string file) => Path.Combine(_directory, file);

    public async ValueTask InitializeAsync()
    {
        ServeSettings settings = Settings(DataDirectory);
        Directory.CreateDirectory(Path.Combine(_directory, "store"));
        LiveSources sources = SourcesOf(settings);
        _admin = new AdminEndpoint(settings.AdminListen, settings.AdminSocketPath, sources, LiveNeedsToken, Api, NullLoggerFactory.Instance);
        await _admin.StartAsync(CancellationToken.None);
        _store = await OpenAsync(settings, sources, Api);
        State.Enter(ServerPhase.Ready, "clients can attach");
    }

    // Another server, on a machine of its own, takes the store over and is gone again.
    public async Task TakeOverAsync()
    {
        ServeSettings settings = Settings(PathOf("elsewhere"));
        await (await OpenAsync(settings, SourcesOf(settings), new ControlApi())).DisposeAsync();
    }

    public async Task CloseStoreAsync()
    {
        if (_store is not null) await _store.DisposeAsync();
        _store = null;
    }

    public async Task CloseAdminAsync()
    {
        if (_admin is not null) await _admin.DisposeAsync();
        _admin = null;
    }

    public async ValueTask DisposeAsync()
    {
        await CloseStoreAsync();
        await CloseAdminAsync();
        _collector.Dispose();
        _pipeline.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    // The bucket is a directory: without it, the store waits for it to come back.
    public void TakeBucketAway() => Directory.Move(PathOf("store"), PathOf("away"));

    public void BringBucketBack() => Directory.Move(PathOf("away"), PathOf("store"));

    // Runs the command as a shell would, against this server.
    public async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        var output = new StringWriter();
        var error = new StringWriter();
        string[] where = arguments.Contains("--admin") ? [] : ["--admin", Address, "--data", DataDirectory];
        int code = await CommandTree.RunAsync([.. arguments, .. where], output, error);
        return (code, output.ToString(), error.ToString());
    }

    // The same, for what must succeed.
    public async Task<string> DoAsync(params string[] arguments)
    {
        var (code, output, error) = await RunAsync(arguments);
        Assert.True(code == 0, $"{string.Join(' ', arguments)}: {code}, {error}");
        return output;
    }

    internal HttpClient NewClient(string? token)
    {
        var client = new HttpClient { BaseAddress = new Uri($"http://{Address}") };
        if (token is not null) client.DefaultRequestHeaders.Authorization = new("Bearer", token);
        return client;
    }

    private ServeSettings Settings(string data) =>
        new()
        {
            StoreUrl = new Uri(Path.Combine(_directory, "store")).AbsoluteUri,
            DataDirectory = data,
            Listen = null,
            SocketPath = null,
            Tls = null,
            Access = [],
            AdminListen = new IPEndPoint(IPAddress.Loopback, 0),
            AdminSocketPath = SocketPath,
            AdminTokenFile = Path.Combine(data, AdminToken.FileName),
            Exports = [],
            Passphrase = new Secret("a passphrase for a test"),
            Tuning = new StoreOptions { PublishInterval = TimeSpan.FromMilliseconds(100) },
            LogLevel = LogLevel.None,
            Embedded = null,
        };

    private LiveSources SourcesOf(ServeSettings settings) =>
        LiveSources.Of(settings, _collector, _state, new RecentEvents(TimeProvider.System), new BootClock());

    private Task<IStoreEngine> OpenAsync(ServeSettings settings, LiveSources sources, ControlApi api) =>
        new ServerParts(settings, _pipeline, new BootClock(), api, sources, NullLoggerFactory.Instance).OpenStoreAsync(CancellationToken.None);
}
