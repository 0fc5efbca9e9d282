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
                if (existing.Info.Level != level) await AlterAsync(existing, new ExportPatch { Level = level }, cancellation);
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
    /// Changes an export; asking for what it is already changes nothing. When the task completes, the change is as
    /// durable as a FLUSH of the export at its new level.
    /// </summary>
    /// <exception cref="StorageFaultException">
    /// There is no such export, another one has the new name, or a value is not acceptable.
    /// </exception>
    public async Task<ExportInfo> AlterExportAsync(string name, ExportPatch patch, CancellationToken cancellation)
    {
        if (patch.Name is { } newName) ExportRules.CheckName(newName);
        if (patch.Description is { } description) ExportRules.CheckDescription(description);
        ExportInfo after;
        await _catalogTurn.WaitAsync(cancellation);
        try
        {
            if (!_byName.TryGetValue(name, out ExportDevice? export))
                throw new StorageFaultException(FaultKind.Invalid, $"There is no export '{name}'.");
            if (patch.Name is { } wanted && wanted != name && _byName.ContainsKey(wanted))
                throw new StorageFaultException(FaultKind.Invalid, $"There is an export '{wanted}' already.");
            after = await AlterAsync(export, patch, cancellation);
        }
        finally
        {
            _catalogTurn.Release();
        }

        // Outside the turn: with the bucket away this waits, and must not hold up changes that need no bucket.
        await _runtime.Front.FlushAsync(after.Level, cancellation);
        return after;
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

    private async Task<ExportInfo> AlterAsync(ExportDevice export, ExportPatch patch, CancellationToken cancellation)
    {
        ExportInfo before = export.Info;
        var change = new CatalogChange.AlterExport(
            before.Id.Value, patch.Name, patch.Level, patch.IsReadOnly, patch.Description);
        if (change.ApplyTo(before) == before) return before;
        await _runtime.Front.ChangeCatalogAsync(change.Encode(), () => Apply(export, change), cancellation);
        return export.Info;
    }

    // The new name comes before the old one goes: at no moment is the export not to be found.
    private void Apply(ExportDevice export, CatalogChange.AlterExport change)
    {
        string before = export.Info.Name;
        export.Apply(change);
        string after = export.Info.Name;
        if (after == before) return;
        _byName[after] = export;
        _byName.TryRemove(before, out _);
    }

    private void Add(ExportDevice export)
    {
        _byName[export.Info.Name] = export;
        _lastExportId = Math.Max(_lastExportId, export.Info.Id.Value);
    }
}
