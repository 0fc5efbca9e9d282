using System.Net;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Composition;

/// <summary>The two large parts of a server, as far as its life needs to know them.</summary>
internal interface IServerParts
{
    /// <summary>Opens the store.</summary>
    /// <exception cref="StorageFaultException">It cannot be opened; the message says why.</exception>
    Task<IStoreEngine> OpenStoreAsync(CancellationToken cancellation);

    /// <summary>Makes the NBD server for <paramref name="exports"/>; it does not listen yet.</summary>
    INbdEndpoint CreateNbd(IExportDirectory exports);
}

/// <summary>An open store.</summary>
internal interface IStoreEngine : IAsyncDisposable
{
    /// <summary>The exports of the store.</summary>
    IExportDirectory Exports { get; }

    /// <summary>Completes with the one reason for which the store must stop; otherwise never.</summary>
    Task<StorageFaultException> Fatal { get; }

    /// <summary>Creates an export when it is missing, and sets its level when that differs.</summary>
    Task EnsureExportAsync(ExportSpec export, CancellationToken cancellation);

    /// <summary>Syncs the WAL and publishes what fits into <paramref name="timeout"/>.</summary>
    Task<StopSummary> StopAsync(TimeSpan timeout);
}

/// <summary>What a stopped store leaves for its next start.</summary>
/// <param name="EverythingPublished">The bucket holds all that was acknowledged.</param>
/// <param name="BytesLeft">Bytes that only the local log holds.</param>
internal readonly record struct StopSummary(bool EverythingPublished, long BytesLeft);

/// <summary>The listening side.</summary>
internal interface INbdEndpoint : IAsyncDisposable
{
    /// <summary>
    /// The TCP address that is listened on, with its actual port; null before the start and without TCP.
    /// </summary>
    IPEndPoint? ListeningOn { get; }

    /// <summary>Begins to listen.</summary>
    Task StartAsync(CancellationToken cancellation);

    /// <summary>Admits nobody, lets requests in flight finish for up to <paramref name="drain"/>, closes.</summary>
    Task StopAsync(TimeSpan drain);
}
