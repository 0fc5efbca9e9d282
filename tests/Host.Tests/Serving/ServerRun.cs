using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;

namespace ZeroFlow.Host.Tests.Serving;

/// <summary>One server with fake parts and a real admin endpoint on a free port.</summary>
internal sealed class ServerRun : IDisposable, ILoggerProvider, ILogger
{
    private readonly CancellationTokenSource _stopping = new();
    private readonly HttpClient _client = new();
    private readonly MetricCollector _collector = new(_ => false);
    private readonly ConcurrentQueue<string> _log = new();
    private readonly ILoggerFactory _loggers;
    private readonly AdminEndpoint _admin;
    private readonly ServerState _state = new();

    public ServerRun(FakeParts parts, ServeSettings settings, IPEndPoint? admin = null, string? adminSocket = null)
    {
        _loggers = LoggerFactory.Create(logging =>
        {
            ServerLog.Configure(logging, LogLevel.Information);
            logging.AddProvider(this);
        });
        _admin = new AdminEndpoint(
            admin ?? new IPEndPoint(IPAddress.Loopback, 0), adminSocket,
            LiveSources.Of(settings, _collector, _state, new RecentEvents(TimeProvider.System), TimeProvider.System),
            liveNeedsToken: false, new ControlApi(), _loggers);
        Life = new ServerLife(settings, parts, _admin, _state, Output, _loggers.CreateLogger<ServerLife>());
    }

    public ServerLife Life { get; }

    public StringWriter Output { get; } = new();

    public IReadOnlyCollection<string> Log => _log;

    public IPEndPoint AdminAddress => _admin.Address!;

    public Task<int> Start() => Life.RunAsync(_stopping.Token);

    public Task StopAsync() => _stopping.CancelAsync();

    public async Task WaitForAsync(ServerPhase phase)
    {
        while (_state.Current.Phase != phase || AdminAddress.Port == 0)
            await Task.Delay(5, TestContext.Current.CancellationToken);
    }

    public async Task<(HttpStatusCode Code, string Body)> GetAsync(string path)
    {
        using HttpResponseMessage answer = await _client.GetAsync(
            new Uri($"http://{_admin.Address}{path}"), TestContext.Current.CancellationToken);
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    public async Task<(HttpStatusCode Code, string? Reason)> ProbeAsync(string path)
    {
        (HttpStatusCode code, string body) = await GetAsync(path);
        return (code, JsonDocument.Parse(body).RootElement.GetProperty("reason").GetString());
    }

    public async Task<HttpStatusCode> SendAsync(HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, new Uri($"http://{_admin.Address}{path}"));
        using HttpResponseMessage answer = await _client.SendAsync(request, TestContext.Current.CancellationToken);
        return answer.StatusCode;
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    void ILogger.Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel)) _log.Enqueue($"{logLevel}: {formatter(state, exception)}");
    }

    public void Dispose()
    {
        _client.Dispose();
        _collector.Dispose();
        _stopping.Dispose();
        Output.Dispose();
    }
}
