using System.Net;

namespace ZeroFlow.SystemTests.Running;

/// <summary>How to start a server; <c>with</c> makes a variant of it.</summary>
internal sealed record ServerSettings(string Binary, StorePlace Store, string Data)
{
    /// <summary>NAME:SIZE or NAME:SIZE:LEVEL.</summary>
    public IReadOnlyList<string> Exports { get; init; } = ["disk:64M"];

    public string Passphrase { get; init; } = "correct horse battery staple";

    /// <summary>Tuning keys and their values, as the environment carries them.</summary>
    public IReadOnlyDictionary<string, string> Tuning { get; init; } = new Dictionary<string, string>();

    /// <summary>More options of the command line.</summary>
    public IReadOnlyList<string> Options { get; init; } = [];

    /// <summary>A command to run the server under, such as strace.</summary>
    public IReadOnlyList<string> Under { get; init; } = [];

    public int Port { get; init; } = FreePorts.Take();

    public int AdminPort { get; init; } = FreePorts.Take();
}

/// <summary>A running server process.</summary>
internal sealed class ZeroFlowServer : IAsyncDisposable
{
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private readonly ChildProcess _process;
    private readonly ServerSettings _settings;

    private ZeroFlowServer(ServerSettings settings, ChildProcess process)
    {
        _settings = settings;
        _process = process;
    }

    public int Port => _settings.Port;

    public string Uri(string export) => $"nbd://127.0.0.1:{Port}/{export}";

    /// <summary>The server's own process, also where it runs under another command.</summary>
    public int ProcessId => _settings.Under.Count == 0 ? _process.Id : ChildOf(_process.Id);

    public bool HasExited => _process.HasExited;

    /// <summary>Everything that the process wrote so far.</summary>
    public string Log => _process.Said;

    /// <summary>Starts a server and waits until clients can attach.</summary>
    public static async Task<ZeroFlowServer> StartAsync(ServerSettings settings)
    {
        var server = Launch(settings);
        try
        {
            await server.ReadyAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a server without waiting: for those that are expected to refuse.</summary>
    public static ZeroFlowServer Launch(ServerSettings settings)
    {
        string[] arguments =
        [
            "serve", "--store", settings.Store.Url, "--data", settings.Data,
            "--listen", $"127.0.0.1:{settings.Port}", "--admin", $"127.0.0.1:{settings.AdminPort}",
            .. settings.Exports.SelectMany(e => new[] { "--export", e }),
            .. settings.Options,
        ];
        var environment = new Dictionary<string, string>(settings.Store.Credentials)
        {
            ["ZEROFLOW_PASSPHRASE"] = settings.Passphrase,
        };
        foreach (var (key, value) in settings.Tuning)
        {
            environment[$"ZEROFLOW__TUNING__{key.ToUpperInvariant()}"] = value;
        }

        string[] command = [.. settings.Under, settings.Binary, .. arguments];
        return new ZeroFlowServer(settings, ChildProcess.Start(command[0], command[1..], environment));
    }

    /// <summary>Waits for /readyz to answer 200.</summary>
    public async Task ReadyAsync()
    {
        using var timeout = new CancellationTokenSource(StartPatience);
        while (await StatusAsync("/readyz") != HttpStatusCode.OK)
        {
            if (HasExited) Assert.Fail($"The server ended with {await ExitAsync()} at its start:\n{Log}");
            if (timeout.IsCancellationRequested) Assert.Fail($"The server is not ready after {StartPatience}:\n{Log}");
            await Task.Delay(50, CancellationToken.None);
        }
    }

    /// <summary>The status that an admin path answers with, or null when nobody answers.</summary>
    public async Task<HttpStatusCode?> StatusAsync(string path)
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(5) };
        try
        {
            using var reply = await http.GetAsync(new Uri($"http://127.0.0.1:{_settings.AdminPort}{path}"));
            return reply.StatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return null;
        }
    }

    public async Task<string> MetricsTextAsync()
    {
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
        return await http.GetStringAsync(new Uri($"http://127.0.0.1:{_settings.AdminPort}/metrics"));
    }

    public async Task<MetricsPage> MetricsAsync() => new(await MetricsTextAsync());

    public void Pause() => Send(Signal.Stop);

    public void Resume() => Send(Signal.Continue);

    public void RequestStop() => Send(Signal.Terminate);

    /// <summary>Ends the process as a crash would.</summary>
    public async Task KillAsync()
    {
        Send(Signal.Kill);
        await ExitAsync();
    }

    /// <summary>Asks the process to end, and returns its exit status.</summary>
    public async Task<int> StopAsync()
    {
        RequestStop();
        return await ExitAsync();
    }

    public Task<int> ExitAsync(double seconds = 60) => _process.ExitAsync(TimeSpan.FromSeconds(seconds));

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private void Send(Signal signal)
    {
        if (_settings.Under.Count == 0) _process.Send(signal);
        else ChildProcess.Send(ProcessId, signal);
    }

    private static int ChildOf(int process) =>
        int.Parse(
            File.ReadAllText($"/proc/{process}/task/{process}/children").Split(' ')[0],
            global::System.Globalization.CultureInfo.InvariantCulture);
}
