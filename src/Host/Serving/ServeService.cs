using Microsoft.Extensions.Hosting;

namespace ZeroFlow.Host.Serving;

/// <summary>Runs a <see cref="ServerLife"/> under the host, whose console lifetime turns signals into a stop.</summary>
internal sealed class ServeService(ServerLife life, IHostApplicationLifetime host) : BackgroundService
{
    /// <summary>What the process ends with, once the host has stopped.</summary>
    public int ExitCode { get; private set; }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            ExitCode = await life.RunAsync(stoppingToken);
        }
        finally
        {
            host.StopApplication();
        }
    }
}
