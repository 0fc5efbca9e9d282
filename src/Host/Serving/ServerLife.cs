using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Systemd;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Serving;

/// <summary>
/// The life of one server, from the first probe it answers to its exit code.
/// </summary>
/// <remarks>
/// <list type="number">
/// <item>admin endpoint up: alive, not ready</item>
/// <item>store opened: chain walked, WAL replayed</item>
/// <item>exports created that are asked for and missing</item>
/// <item>NBD listens</item>
/// <item>ready; runs until it is asked to stop or the store fails</item>
/// <item>not ready; NBD and control admit nobody and finish what is in flight</item>
/// <item>store stopped: WAL synced, what fits into the time published</item>
/// <item>admin endpoint down</item>
/// </list>
/// Stopping during a step undoes the steps before it, last first.
/// </remarks>
internal sealed partial class ServerLife
{
    /// <summary>How long requests in flight may take to finish.</summary>
    /// <remarks>A published FLUSH needs one round trip to the bucket; a client that waits longer will retry.</remarks>
    public static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(10);

    private readonly ServeSettings _settings;
    private readonly IServerParts _parts;
    private readonly AdminEndpoint _admin;
    private readonly ServerState _state;
    private readonly TextWriter _output;
    private readonly ILogger<ServerLife> _log;

    /// <summary>Makes a server that has not begun.</summary>
    public ServerLife(
        ServeSettings settings, IServerParts parts, AdminEndpoint admin, ServerState state, TextWriter output,
        ILogger<ServerLife> log)
    {
        _settings = settings;
        _parts = parts;
        _admin = admin;
        _state = state;
        _output = output;
        _log = log;
    }

    /// <summary>
    /// Runs until <paramref name="stopping"/> or a fault; never throws for reasons that a person can mend.
    /// </summary>
    /// <returns>The exit code of the process, one of <see cref="ExitCodes"/>.</returns>
    public async Task<int> RunAsync(CancellationToken stopping)
    {
        await using (_admin)
        {
            try
            {
                await _admin.StartAsync(stopping); // (1)
                return await RunStoreAsync(stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                LogStoppedEarly(_log);
                return ExitCodes.Success;
            }
            catch (Exception fault)
            {
                return ReportStartFault(fault);
            }
        } // (8)
    }

    private async Task<int> RunStoreAsync(CancellationToken stopping)
    {
        _state.Enter(ServerPhase.Starting, "the store is being opened");
        await using IStoreEngine store = await _parts.OpenStoreAsync(stopping); // (2)
        foreach (ExportSpec export in ExportsToEnsure(store)) await store.EnsureExportAsync(export, stopping); // (3)
        await using INbdEndpoint nbd = _parts.CreateNbd(store.Exports);
        await nbd.StartAsync(stopping); // (4)

        Announce(store, nbd); // (5)
        StorageFaultException? fault = await WaitForEndAsync(store, stopping);
        if (fault is null) return await StopAsync(store, nbd);

        // The store acknowledges nothing any more, so there is nothing to drain: connections are closed at once, and
        // nothing is published, because what is not in the chain may not be ours to write.
        int code = Fail(fault);
        await Task.WhenAll(nbd.StopAsync(TimeSpan.Zero), _admin.StopControlAsync(TimeSpan.Zero));
        return code;
    }

    private IEnumerable<ExportSpec> ExportsToEnsure(IStoreEngine store)
    {
        bool isFirstUse = _settings.Embedded is not null && _settings.Exports.Count == 0
            && store.Exports.List().Count == 0;
        return isFirstUse ? [EmbeddedDefault.FirstExport] : _settings.Exports;
    }

    private void Announce(IStoreEngine store, INbdEndpoint nbd)
    {
        int count = store.Exports.List().Count;
        string place = nbd.ListeningOn?.ToString() ?? _settings.SocketPath
            ?? string.Join(", ", _settings.Inherited.Nbd.Select(InheritedSockets.Describe));
        _state.Enter(ServerPhase.Ready, $"clients can attach to {count} export(s) on {place}");
        LogReady(_log, count, place, _admin.MetricsPlace);
        if (count == 0) LogNoExports(_log);
        if (_settings.Embedded is not { } embedded) return;
        _output.Write(FirstSteps.Describe(embedded, store.Exports.List(), nbd.ListeningOn, _admin.MetricsPlace));
        _output.Flush();
    }

    private static async Task<StorageFaultException?> WaitForEndAsync(IStoreEngine store, CancellationToken stopping)
    {
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = stopping.Register(() => stop.TrySetResult());
        Task first = await Task.WhenAny(store.Fatal, stop.Task);
        return first == stop.Task ? null : await store.Fatal;
    }

    private async Task<int> StopAsync(IStoreEngine store, INbdEndpoint nbd)
    {
        _state.Enter(ServerPhase.Stopping, "the server is stopping");
        LogStopping(_log);
        await Task.WhenAll(nbd.StopAsync(DrainTimeout), _admin.StopControlAsync(DrainTimeout)); // (6)
        StopSummary left;
        try
        {
            left = await store.StopAsync(_settings.Tuning.StopTimeout); // (7)
        }
        catch (StorageFaultException fault)
        {
            return Fail(fault);
        }

        // Fenced or broken on the way: it must not look like a clean end.
        if (store.Fatal.IsCompletedSuccessfully) return Fail(await store.Fatal);
        if (left.EverythingPublished)
        {
            LogStoppedClean(_log);
            return ExitCodes.Success;
        }

        string wal = Path.Combine(_settings.DataDirectory, "wal");
        LogStoppedWithRest(_log, Quantities.FormatSize(left.BytesLeft), wal);
        return ExitCodes.Success;
    }

    private int Fail(StorageFaultException fault)
    {
        _state.Enter(ServerPhase.Failed, fault.Message);
        LogFatal(_log, fault.Message);
        return ExitCodes.ForRunning(fault);
    }

    private int ReportStartFault(Exception fault)
    {
        _state.Enter(ServerPhase.Failed, fault.Message);
        if (StartFaults.TryDescribe(fault, out string? sentence)) LogStartFailed(_log, sentence);
        else LogBug(_log, fault);
        return ExitCodes.ForStart(fault);
    }
}
