using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Host.Composition;

/// <summary>The real parts of a server, made from its settings.</summary>
internal sealed class ServerParts : IServerParts
{
    public ServerParts(ServeSettings settings, PipelineMetrics metrics, TimeProvider time, ILoggerFactory loggers)
    {
        _ = (settings, metrics, time, loggers);
    }

    /// <inheritdoc/>
    public Task<IStoreEngine> OpenStoreAsync(CancellationToken cancellation) =>
        Task.FromException<IStoreEngine>(new StorageFaultException(FaultKind.Unavailable, "No engine is linked yet."));

    /// <inheritdoc/>
    public INbdEndpoint CreateNbd(IExportDirectory exports) => throw new NotSupportedException();
}
