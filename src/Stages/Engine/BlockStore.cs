using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// An open store: this process is its one writer. Hands out its exports as block devices. Thread-safe.
/// </summary>
/// <remarks>Open with <see cref="OpenAsync"/>; end with <see cref="StopAsync"/> and then dispose.</remarks>
public sealed class BlockStore : IExportDirectory, IAsyncDisposable
{
    private readonly StoreRuntime _runtime;
    private readonly ConcurrentDictionary<string, ExportDevice> _byName = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _catalogTurn = new(1);
    private uint _lastExportId;

    internal BlockStore(StoreRuntime runtime, IEnumerable<ExportDevice> exports)
    {
        _runtime = runtime;
        foreach (ExportDevice export in exports) Add(export);
    }

    /// <summary>Completes with the cause when the store must stop: fenced, or its WAL failed. Reads go on.</summary>
    public Task<StorageFaultException> Fatal => _runtime.Supervisor.Fatal;

    /// <summary>The state now.</summary>
    public StoreStatus Status => _runtime.Status;

    /// <summary>The space that the store takes now.</summary>
    public StoreSpace Space => _runtime.Space;

    /// <summary>
    /// Opens a store for writing, making it when there is none: takes it over from whoever wrote before, and replays
    /// what the local WAL holds beyond the chain.
    /// </summary>
    /// <exception cref="StorageFaultException">It cannot be opened; the message says why in one sentence.</exception>
    public static Task<BlockStore> OpenAsync(
        StoreOptions options, StoreComponents parts, CancellationToken cancellation) =>
        new StoreOpening(options, parts).RunAsync(cancellation);

    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List() =>
        [.. _byName.Values.Select(e => e.Info).OrderBy(e => e.Name, StringComparer.Ordinal)];

    /// <inheritdoc/>
    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        device = _byName.TryGetValue(name, out ExportDevice? export)
            ? export
            : name.Length == 0 && _byName.Count == 1 ? _byName.Values.FirstOrDefault() : null;
        return device is not null;
    }

    /// <summary>
    /// Makes sure that an export exists: creates it when it is missing, and changes its level when that differs.
    /// Durable in the WAL when the task completes.
    /// </summary>
    /// <exception cref="StorageFaultException">It exists with another size, or the name or size is not acceptable.</exception>
    public async Task<ExportInfo> EnsureExportAsync(
        string name, long sizeBytes, DurabilityLevel level, CancellationToken cancellation)
    {
        ExportRules.Check(name, sizeBytes);
        await _catalogTurn.WaitAsync(cancellation);
        try
        {
            if (_byName.TryGetValue(name, out ExportDevice? existing))
            {
                ExportRules.CheckSame(existing.Info, sizeBytes);
                if (existing.Info.Level != level) await SetLevelAsync(existing, level, cancellation);
                return existing.Info;
            }

            var create = new CatalogChange.CreateExport(
                _lastExportId + 1, name, sizeBytes, _runtime.Options.ChunkBytes, level);
            ExportInfo info = create.ToInfo();
            CommittedMap map = _runtime.PrepareMap(info);
            await _runtime.Front.ChangeCatalogAsync(
                create.Encode(), () => Add(_runtime.NewExport(info, map, new Memtable())), cancellation);
            return _byName[name].Info;
        }
        finally
        {
            _catalogTurn.Release();
        }
    }

    /// <summary>
    /// Stops: refuses new operations, syncs the WAL, and publishes what it can within <paramref name="timeout"/>. What
    /// is left is in the WAL and is replayed by the next start.
    /// </summary>
    public Task<StopReport> StopAsync(TimeSpan timeout) => _runtime.StopAsync(timeout);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _runtime.DisposeAsync();
        _catalogTurn.Dispose();
    }

    private async Task SetLevelAsync(ExportDevice export, DurabilityLevel level, CancellationToken cancellation)
    {
        var change = new CatalogChange.SetLevel(export.Info.Id.Value, level);
        await _runtime.Front.ChangeCatalogAsync(change.Encode(), () => export.SetLevel(level), cancellation);
    }

    private void Add(ExportDevice export)
    {
        _byName[export.Info.Name] = export;
        _lastExportId = Math.Max(_lastExportId, export.Info.Id.Value);
    }
}
