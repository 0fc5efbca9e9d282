using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Admin;

/// <summary>
/// The small HTTP server for probes and metrics, which change nothing: <c>/healthz</c>, <c>/readyz</c>, <c>/metrics</c>;
/// for the control API, which asks for a token, except on its Unix socket; and for the live view, which asks for it from
/// whoever is not on this machine. On an address that others can reach, metrics ask for a token, too, and probes keep the
/// reason to themselves.
/// </summary>
internal sealed class AdminEndpoint : IAsyncDisposable
{
    // Probes and one or two scrapers; a bound keeps a stray load test away from the memory of the block device.
    private const int ConnectionsMax = 64;

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(2);

    private readonly WebApplication _app;
    private readonly ServerState _state;
    private readonly MetricCollector _metrics;
    private readonly ControlApi _control;
    private readonly AdminGuard _guard;
    private readonly LiveFeed _feed;
    private readonly LiveEndpoint _live;
    private readonly string? _socketPath;

    /// <summary>
    /// Makes an endpoint that does not listen yet, for an address, a Unix socket, or both. <paramref name="inherited"/> is
    /// one of them that listens already, and is owned from here on.
    /// </summary>
    public AdminEndpoint(
        IPEndPoint? address, string? socketPath, LiveSources sources, bool liveNeedsToken, ControlApi control, ILoggerFactory loggers,
        AdminGuard? guard = null, Socket? inherited = null)
    {
        _guard = guard ?? new AdminGuard(address, [], metricsToken: null);
        Address = address;
        _socketPath = socketPath;
        _state = sources.State;
        _metrics = sources.Metrics;
        _control = control;
        _feed = new LiveFeed(sources, loggers);
        _live = new LiveEndpoint(_feed, control, liveNeedsToken);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, OwnedLifetime>());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = ConnectionsMax;
            kestrel.Limits.MaxRequestBodySize = ControlApi.JsonBytesMax;
            if (address is not null) kestrel.Listen(address);
            if (socketPath is null) return;
            if (inherited?.AddressFamily != AddressFamily.Unix || AdminSocket.IsForOwnerOnly(socketPath)) kestrel.ListenUnixSocket(socketPath, AdminSocket.Mark);
            else kestrel.ListenUnixSocket(socketPath);
        });
        builder.Services.Configure<SocketTransportOptions>(
            sockets => sockets.CreateBoundListenSocket = endpoint =>
                IsSame(inherited, endpoint) ? inherited! : AdminSocket.Bind(endpoint));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    /// <summary>
    /// The TCP address that is listened on, if any; the port is the actual one once the endpoint has started.
    /// </summary>
    public IPEndPoint? Address { get; private set; }

    /// <summary>Where the metrics are, in words.</summary>
    public string MetricsPlace => Address is { } address ? $"http://{address}/metrics" : $"unix:{_socketPath}:/metrics";

    /// <summary>Begins to listen.</summary>
    /// <exception cref="IOException">The address cannot be listened on.</exception>
    /// <exception cref="StorageFaultException">The Unix socket cannot be listened on.</exception>
    public async Task StartAsync(CancellationToken cancellation)
    {
        try
        {
            await _app.StartAsync(cancellation);
        }
        catch (Exception fault) when (fault is IOException or SocketException)
        {
            string reason = (fault.InnerException ?? fault).Message;
            throw new IOException(
                $"The admin address {Address} (--admin) cannot be listened on: {reason.TrimEnd('.')}.", fault);
        }

        if (Address is null) return;
        string url = _app.Urls.First(static url => !url.StartsWith("http://unix:", StringComparison.Ordinal));
        Address = new IPEndPoint(Address.Address, new Uri(url).Port);
    }

    /// <summary>
    /// Takes no more control requests, and lets those in flight finish for up to <paramref name="drain"/>. Probes and
    /// metrics are answered further on.
    /// </summary>
    public Task StopControlAsync(TimeSpan drain) => _control.CloseAsync(drain);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // Streams without an end would hold up the stop.
        _feed.Close();
        using var timeout = new CancellationTokenSource(StopTimeout);
        await _app.StopAsync(timeout.Token);
        await _app.DisposeAsync();
        _feed.Dispose();
    }

    private static bool IsSame(Socket? inherited, EndPoint endpoint) =>
        inherited is not null && inherited.AddressFamily == AddressFamily.Unix == endpoint is UnixDomainSocketEndPoint;

    private Task AnswerAsync(HttpContext context)
    {
        if (!_guard.IsMeantForUs(context))
        {
            return SayAsync(
                context, StatusCodes.Status421MisdirectedRequest,
                "This server is not known by that name: ask by address, or list the name in Admin:Hosts.\n");
        }

        bool isLive = LiveEndpoint.Has(context.Request.Path);
        if (!isLive && context.Request.Path.StartsWithSegments("/v1", StringComparison.Ordinal)) return _control.AnswerAsync(context, _state.Current.Reason);
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.Headers.Allow = "GET, HEAD";
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            return Task.CompletedTask;
        }

        if (isLive) return _live.AnswerAsync(context);
        ServerState.Snapshot state = _state.Current;
        return context.Request.Path.Value switch
        {
            "/healthz" => ProbeAsync(context, state, isGood: state.Phase != ServerPhase.Failed),
            "/readyz" => ProbeAsync(context, state, isGood: state.Phase == ServerPhase.Ready),
            "/metrics" => ScrapeAsync(context),
            _ => SayAsync(
                context, StatusCodes.Status404NotFound, "There are / (the live view), /healthz, /readyz, /metrics and /v1/openapi.json.\n"),
        };
    }

    private Task ScrapeAsync(HttpContext context)
    {
        if (_guard.MayRead(context, _control)) return WriteAsync(context, "text/plain; version=0.0.4; charset=utf-8", _metrics.Scrape());
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return SayAsync(
            context, StatusCodes.Status401Unauthorized,
            "A token is needed, as Authorization: Bearer: that of Admin:MetricsTokenFile, or the admin token.\n");
    }

    private Task ProbeAsync(HttpContext context, ServerState.Snapshot state, bool isGood)
    {
        context.Response.StatusCode = isGood ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        var answer = new Dictionary<string, string>
        {
            ["status"] = isGood ? "ok" : "unavailable",
            ["phase"] = JsonNamingPolicy.CamelCase.ConvertName(state.Phase.ToString()),
        };
        if (_guard.MayRead(context, _control)) answer["reason"] = state.Reason;
        return WriteAsync(context, "application/json", JsonSerializer.SerializeToUtf8Bytes(answer));
    }

    private static Task SayAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        return WriteAsync(context, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text));
    }

    private static Task WriteAsync(HttpContext context, string contentType, ReadOnlyMemory<byte> body)
    {
        context.Response.ContentType = contentType;
        context.Response.ContentLength = body.Length;
        context.Response.Headers.CacheControl = "no-store";
        return HttpMethods.IsHead(context.Request.Method)
            ? Task.CompletedTask
            : context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
    }

    /// <summary>The endpoint starts and stops with its owner; signals are the outer host's.</summary>
    private sealed class OwnedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
