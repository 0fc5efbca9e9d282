using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Composition;

/// <summary>Puts together what a rebuild needs, and runs it.</summary>
internal static class RebuildHost
{
    // Indexes and checkpoints are read into arrays of their own.
    private const long BufferBytes = 16L * 1024 * 1024;

    /// <inheritdoc cref="StoreRebuild.RunAsync"/>
    public static async Task<RebuildReport> RunAsync(StoreAccess access, bool applies, CancellationToken cancellation)
    {
        Secret passphrase = access.Embedded?.Prepare(access.Passphrase) ?? access.Passphrase!;
        using var metrics = new PipelineMetrics();
        using ILoggerFactory loggers = LoggerFactory.Create(logging =>
        {
            ServerLog.Configure(logging, access.LogLevel);
            ServerLog.WriteToStandardError(logging, json: false);
        });
        var time = new BootClock();
        await using IObjectStore objects = ObjectStoreFactory.Open(access.StoreUrl, time, loggers);
        var parts = new ReadingComponents
        {
            Objects = objects,
            Time = time,
            Entropy = new SystemEntropy(),
            Buffers = new BufferPool(BufferBytes),
            Metrics = metrics,
            Loggers = loggers,
            Passphrase = new Passphrase(passphrase.Reveal()),
        };
        return await StoreRebuild.RunAsync(parts, applies, cancellation);
    }
}
