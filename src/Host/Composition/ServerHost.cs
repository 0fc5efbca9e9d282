using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Systemd;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Host.Composition;

/// <summary>
/// Puts a server together and runs it under the generic host, which turns SIGTERM and SIGINT into a stop.
/// </summary>
internal static class ServerHost
{
    // File I/O blocks pool threads on Linux. Above its minimum the pool adds threads one at a time, so that a burst of
    // syncs and cache reads would stall everything else for seconds.
    private const int PoolThreadsMin = 32;

    // Beyond the times that draining and publishing are allowed: syncing the log, closing sockets and files.
    private static readonly TimeSpan StopMargin = TimeSpan.FromSeconds(30);

    /// <summary>Serves until the process is asked to stop or cannot go on; returns the exit code.</summary>
    public static async Task<int> RunAsync(ServeSettings settings, TextWriter output)
    {
        if (!settings.CoreDumps) ProcessMemory.Close();
        ThreadPool.SetMinThreads(PoolThreadsMin, PoolThreadsMin);
        using var process = new ProcessMetrics();
        using var pipeline = new PipelineMetrics();
        using var collector = new MetricCollector(
            meter => meter.Name is PipelineMetrics.MeterName or ProcessMetrics.MeterName);

        // First steps are for a person who has just started it, not for the journal at each start.
        using IHost host = Build(settings, pipeline, collector, JournalStream.IsConnected ? TextWriter.Null : output);
        using OtlpExport? otlp = OtlpExport.Start(settings, pipeline, host.Services.GetRequiredService<ILoggerFactory>());
        var service = host.Services.GetRequiredService<ServeService>();
        await host.RunAsync();
        return service.ExitCode;
    }

    private static AdminGuard GuardOf(ServeSettings settings) => new(
        settings.AdminListen, settings.AdminHosts,
        settings.MetricsToken is { } token ? new AdminToken(token.Reveal()) : null);

    private static IHost Build(
        ServeSettings settings, PipelineMetrics pipeline, MetricCollector collector, TextWriter output)
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        ServerLog.Configure(builder.Logging, settings.LogLevel);
        ServerLog.WriteToStandardError(builder.Logging, settings.LogsJson);
        var clock = new BootClock();
        var events = new RecentEvents(clock);
        ServerLog.Keep(builder.Logging, events);
        TimeSpan stopTime = ServerLife.DrainTimeout + settings.Tuning.StopTimeout + StopMargin;
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = stopTime);
        builder.Services.Configure<ConsoleLifetimeOptions>(options => options.SuppressStatusMessages = true);
        builder.Services.AddSingleton(services => new ServiceNotifier(
            new SystemdNotifier(), WatchdogPeriod(), stopTime, TimeProvider.System, services.GetRequiredService<ILogger<ServiceNotifier>>()));
        builder.Services.AddSingleton(services =>
        {
            var loggers = services.GetRequiredService<ILoggerFactory>();
            var state = new ServerState(services.GetRequiredService<ServiceNotifier>().Tell);
            var control = new ControlApi();
            var sources = LiveSources.Of(settings, collector, state, events, clock);
            var life = new ServerLife(
                settings,
                new ServerParts(settings, pipeline, clock, control, sources, loggers),
                new AdminEndpoint(
                    settings.AdminListen, settings.AdminSocketPath, sources, settings.AdminLiveToken, control, loggers,
                    GuardOf(settings), settings.Inherited.Admin),
                state,
                output,
                loggers.CreateLogger<ServerLife>());
            return new ServeService(life, services.GetRequiredService<IHostApplicationLifetime>());
        });
        builder.Services.AddHostedService(services => services.GetRequiredService<ServeService>());
        return builder.Build();
    }

    private static TimeSpan? WatchdogPeriod() => ServiceNotifier.WatchdogPeriod(
        Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID"), Environment.ProcessId);
}
