using System.Net;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Control;
using ZeroFlow.Host.Live;
using ZeroFlow.Nbd;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Composition;

/// <summary>The real parts of a server, made from its settings.</summary>
internal sealed class ServerParts : IServerParts
{
    // The payloads of a busy connection.
    private const long PayloadBytes = 64L * 1024 * 1024;

    private readonly ServeSettings _settings;
    private readonly PipelineMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ControlApi _control;
    private readonly LiveSources _live;
    private readonly BufferPool _buffers;

    public ServerParts(
        ServeSettings settings, PipelineMetrics metrics, TimeProvider time, ControlApi control, LiveSources live,
        ILoggerFactory loggers)
    {
        _live = live;
        _control = control;
        _settings = settings;
        _metrics = metrics;
        _time = time;
        _loggers = loggers;
        _buffers = new BufferPool(BufferBytesMax(settings.Tuning));
    }

    // What the budgets let be rented at once: a buffer beyond that need not be kept. A table in flight has its records or
    // its body, and both for the time of compressing.
    private static long BufferBytesMax(StoreOptions tuning)
    {
        long tables = (long)tuning.TableBytes * (tuning.UploadsInFlight + (2 * Environment.ProcessorCount));
        return tuning.DirtyMemoryBytes + tuning.MemoryCacheBytes + tuning.ReadAheadBytes + tables + PayloadBytes;
    }

    /// <inheritdoc/>
    public async Task<IStoreEngine> OpenStoreAsync(CancellationToken cancellation)
    {
        var owned = new Stack<object>();
        try
        {
            IObjectStore objects = ObjectStoreFactory.Open(_settings.StoreUrl, _time, _loggers);
            owned.Push(objects);
            if (_settings.AsOf is { } moment) return await OpenPastAsync(objects, moment, owned, cancellation);
            var disk = new WalDirectory(Path.Combine(_settings.DataDirectory, "wal"));
            owned.Push(disk);
            var parts = new StoreComponents
            {
                Objects = objects,
                WalDisk = disk,
                CacheDirectory = Path.Combine(_settings.DataDirectory, "cache"),
                Time = _time,
                Entropy = new SystemEntropy(),
                Buffers = _buffers,
                Metrics = _metrics,
                Loggers = _loggers,
                Passphrase = new Passphrase(_settings.Passphrase!.Reveal()),
            };
            var token = AdminToken.ReadOrCreate(_settings.AdminTokenFile);
            BlockStore store = await BlockStore.OpenAsync(_settings.Tuning, parts, cancellation);
            _control.Open(store, token);
            _live.Open(store);
            return new OpenStore(store, _control, _live, owned);
        }
        catch
        {
            await DisposeAllAsync(owned);
            throw;
        }
    }

    private async Task<IStoreEngine> OpenPastAsync(
        IObjectStore objects, DateTimeOffset moment, Stack<object> owned, CancellationToken cancellation)
    {
        var parts = new ReadingComponents
        {
            Objects = objects,
            Time = _time,
            Entropy = new SystemEntropy(),
            Buffers = _buffers,
            Metrics = _metrics,
            Loggers = _loggers,
            Passphrase = new Passphrase(_settings.Passphrase!.Reveal()),
        };
        PastStore store = await PastStore.OpenAsync(_settings.Tuning, parts, moment, cancellation);
        _live.Open(store);
        return new OpenPast(store, _live, owned);
    }

    /// <inheritdoc/>
    public INbdEndpoint CreateNbd(IExportDirectory exports)
    {
        var options = new NbdServerOptions
        {
            TcpEndpoints = _settings.Listen is { } listen ? [listen] : [],
            UnixSocketPath = _settings.SocketPath,
            InheritedListeners = _settings.Inherited.Nbd,
            Tls = _settings.Tls,
            Access = _settings.Access,
        };
        var nbd = new NbdServer(exports, options, _buffers, _metrics, _time, _loggers.CreateLogger<NbdServer>());
        _live.Serve(nbd);
        return new NbdEndpoint(nbd);
    }

    private static async Task DisposeAllAsync(Stack<object> owned)
    {
        while (owned.TryPop(out object? part))
        {
            if (part is IAsyncDisposable waiting) await waiting.DisposeAsync();
            else (part as IDisposable)?.Dispose();
        }
    }

    private sealed class OpenStore(BlockStore store, ControlApi control, LiveSources live, Stack<object> owned) : IStoreEngine
    {
        public IExportDirectory Exports => store;

        public Task<StorageFaultException> Fatal => store.Fatal;

        public async Task EnsureExportAsync(ExportSpec export, CancellationToken cancellation)
        {
            await store.EnsureExportAsync(export.Name, export.SizeBytes, export.Level, cancellation);
            if (export.WriteThrough)
                await store.AlterExportAsync(export.Name, new ExportPatch { WriteThrough = true }, cancellation);
        }

        public async Task<StopSummary> StopAsync(TimeSpan timeout)
        {
            await control.CloseAsync(TimeSpan.Zero);
            StopReport report = await store.StopAsync(timeout);
            return new StopSummary(report.EverythingPublished, report.BytesLeft);
        }

        public async ValueTask DisposeAsync()
        {
            await control.CloseAsync(TimeSpan.Zero);
            live.Close();
            await store.DisposeAsync();
            await DisposeAllAsync(owned);
        }
    }

    // Nothing is asked of it: the control API stays closed.
    private sealed class OpenPast(PastStore store, LiveSources live, Stack<object> owned) : IStoreEngine
    {
        public IExportDirectory Exports => store;

        public Task<StorageFaultException> Fatal { get; } = new TaskCompletionSource<StorageFaultException>().Task;

        public Task EnsureExportAsync(ExportSpec export, CancellationToken cancellation) => store.TryOpen(export.Name, out _)
            ? Task.CompletedTask
            : Task.FromException(new StorageFaultException(FaultKind.NotFound, $"At that time there was no export '{export.Name}'."));

        public Task<StopSummary> StopAsync(TimeSpan timeout) => Task.FromResult(new StopSummary(EverythingPublished: true, 0));

        public async ValueTask DisposeAsync()
        {
            live.Close();
            await store.DisposeAsync();
            await DisposeAllAsync(owned);
        }
    }

    private sealed class NbdEndpoint(NbdServer server) : INbdEndpoint
    {
        public IPEndPoint? ListeningOn => server.BoundEndpoints.OfType<IPEndPoint>().FirstOrDefault();

        public Task StartAsync(CancellationToken cancellation) => server.StartAsync(cancellation);

        public Task StopAsync(TimeSpan drain) => server.StopAsync(drain);

        public ValueTask DisposeAsync() => server.DisposeAsync();
    }
}
