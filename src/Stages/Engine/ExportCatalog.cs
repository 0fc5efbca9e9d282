using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// The exports and snapshots of an open store by name, and every change of them. A change is a record of the commit order
/// like any write. Thread-safe.
/// </summary>
/// <remarks>
/// What begins as a copy of something else (a snapshot, a clone, a rolled-back export) can be told from the committed map
/// only, so it can be opened once its record is published; its point in the commit order is fixed, and durable in the WAL,
/// long before.
/// </remarks>
internal sealed partial class ExportCatalog : IDisposable
{
    private readonly StoreRuntime _runtime;
    private readonly ILogger _log;
    private readonly ConcurrentDictionary<string, ExportDevice> _byName = new(StringComparer.Ordinal);

    // Names of what is journaled and not published yet.
    private readonly HashSet<string> _pending = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, PendingClone> _clones = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _turn = new(1);
    private uint _lastId;

    public ExportCatalog(StoreRuntime runtime, IEnumerable<ExportDevice> exports, ExportId last, ILogger log)
    {
        _runtime = runtime;
        _log = log;
        _lastId = last.Value;
        foreach (ExportDevice export in exports) Add(export);
    }

    public IReadOnlyList<ExportInfo> List() =>
        [.. _byName.Values.Select(static e => e.Info).OrderBy(static e => e.Name, StringComparer.Ordinal)];

    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        string? found = name.Length > 0 ? name : IExportDirectory.OnlyName(_byName.Values.Select(static e => e.Info));
        device = found is null ? null : _byName.GetValueOrDefault(found);
        return device is not null;
    }

    public bool TryCompare(ExportInfo export, string snapshot, [NotNullWhen(true)] out IChangedRanges? changes)
    {
        changes = null;
        if (_byName.GetValueOrDefault(export.Name) is not { } device || device.Info.Id != export.Id) return false;
        ExportId origin = device.Info.Snapshot?.Of ?? device.Info.Id;
        ExportDevice? since = SnapshotsOf(origin).FirstOrDefault(other => other.Info.Snapshot!.Name == snapshot);
        if (since is null || since == device || since.Committed.Family != device.Committed.Family) return false;
        changes = new ExportChanges(device, since);
        return true;
    }

    public int AttachedTo(string name) => _byName.GetValueOrDefault(name)?.Attached ?? 0;

    public bool HasUnpublished(string name) => _byName.GetValueOrDefault(name) is { Memtable.Count: > 0 };

    public void Dispose() => _turn.Dispose();

    public async Task<ExportInfo> EnsureAsync(
        string name, long sizeBytes, DurabilityLevel? level, CancellationToken cancellation)
    {
        ExportRules.Check(name, sizeBytes);
        using (await TakeTurnAsync(cancellation))
        {
            if (!_byName.TryGetValue(name, out ExportDevice? existing))
            {
                if (FormerlyNamed(name) is not { } renamed)
                    return await CreateInTurnAsync(name, sizeBytes, level ?? DurabilityLevel.Journaled, new NewExportOptions(), cancellation);
                LogRenamed(name, renamed.Name);
                return renamed;
            }

            if (existing.Info.SizeBytes != sizeBytes) LogOtherSize(name, existing.Info.SizeBytes, sizeBytes);
            if (level is { } wanted) await AlterInTurnAsync(existing, new ExportPatch { Level = wanted }, cancellation);
            return existing.Info;
        }
    }

    public async Task<ExportInfo> CreateAsync(
        string name, long sizeBytes, DurabilityLevel level, NewExportOptions options, CancellationToken cancellation)
    {
        ExportRules.Check(name, sizeBytes);
        if (options.ChunkBytes is { } chunk) ExportRules.CheckChunk(chunk);
        if (options.CompressionLevel is { } compression) ExportRules.CheckCompression(compression);
        using (await TakeTurnAsync(cancellation))
        {
            RequireFree(name);
            return await CreateInTurnAsync(name, sizeBytes, level, options, cancellation);
        }
    }

    public async Task<ExportInfo> AlterAsync(string name, ExportPatch patch, CancellationToken cancellation)
    {
        if (patch.Name is { } newName) ExportRules.CheckName(newName);
        if (patch.Description is { } description) ExportRules.CheckDescription(description);
        if (patch.CompressionLevel is { } compression) ExportRules.CheckCompression(compression);
        ExportInfo after;
        using (await TakeTurnAsync(cancellation))
        {
            ExportDevice export = RequireExport(name);
            if (patch.Name is { } wanted && wanted != name) RequireFree(wanted);
            if (patch.WriteThrough == false && export.Info.WriteThrough) RequireDetached(export);
            after = await AlterInTurnAsync(export, patch, cancellation);
        }

        // Outside the turn: with the bucket away this waits, and must not hold up changes that need no bucket.
        await _runtime.Front.FlushAsync(after.Level, cancellation);
        return after;
    }

    public async Task<ExportInfo> ResizeAsync(
        string name, long sizeBytes, bool mayShrink, CancellationToken cancellation)
    {
        ExportRules.Check(name, sizeBytes);
        ExportInfo after;
        using (await TakeTurnAsync(cancellation))
        {
            ExportDevice export = RequireExport(name);
            long before = export.Info.SizeBytes;
            if (sizeBytes < before)
            {
                if (!mayShrink) throw Conflict($"The export '{name}' has {before} bytes; what lies beyond {sizeBytes} would be lost. Ask for a smaller size explicitly.");
                RequireDetached(export);

                // What is cut off reads as zeros if the export grows again.
                await export.ZeroAsync(BlockRange.Between(sizeBytes, before), forceUnitAccess: false, cancellation);
            }

            if (sizeBytes != before)
            {
                var change = new CatalogChange.ResizeExport(export.Info.Id.Value, sizeBytes);
                await _runtime.Front.ChangeCatalogAsync(change.Encode(), () => export.Apply(change), cancellation);
            }

            after = export.Info;
        }

        // Also when nothing changes: whoever asks again after giving up the wait wants to know the change durable.
        await _runtime.Front.FlushAsync(after.Level, cancellation);
        return after;
    }

    public async Task DeleteAsync(string name, bool force, CancellationToken cancellation)
    {
        DurabilityLevel level;
        using (await TakeTurnAsync(cancellation))
        {
            ExportDevice export = Require(name);
            level = export.Info.Level;
            ExportDevice[] snapshots = [.. SnapshotsOf(export.Info.Id)];
            if (!force)
            {
                RequireDetached(export);
                if (snapshots.Length > 0) throw Conflict($"The export '{name}' has snapshots ({snapshots.Length}). Delete them first, or force it.");
            }

            foreach (ExportDevice gone in (ExportDevice[])[.. snapshots, export])
            {
                var change = new CatalogChange.DeleteExport(gone.Info.Id.Value);
                await _runtime.Front.ChangeCatalogAsync(change.Encode(), () => Remove(gone), cancellation);
            }
        }

        await _runtime.Front.FlushAsync(level, cancellation);
    }

    public async Task<IReadOnlyList<ExportInfo>> SnapshotAsync(
        IReadOnlyCollection<string> names, string snapshot, CancellationToken cancellation)
    {
        ExportRules.CheckName(snapshot);
        var taken = new List<ExportInfo>();
        using (await TakeTurnAsync(cancellation))
        {
            ExportDevice[] origins = names.Count == 0
                ? [.. _byName.Values.Where(static e => e.Info.Snapshot is null)]
                : [.. names.Distinct(StringComparer.Ordinal).Select(RequireExport)];
            if (origins.Length == 0) throw new StorageFaultException(FaultKind.NotFound, "There is no export to take a snapshot of.");
            long now = _runtime.Now.ToUnixTimeMilliseconds();
            foreach (ExportDevice origin in origins)
            {
                ExportInfo info = CatalogChange.CreateSnapshots.InfoOf(origin.Info, _lastId + 1, snapshot, now);
                ExportRules.CheckSnapshotName(info.Name);
                RequireFree(info.Name);
                _lastId++;
                taken.Add(info);
            }

            var change = new CatalogChange.CreateSnapshots(
                snapshot, now, [.. taken.Select(static i => new CatalogChange.SnapshotMember(i.Id.Value, i.Snapshot!.Of.Value))]);
            await JournalPendingAsync(change, [.. taken.Select(static i => i.Name)], cancellation);
        }

        await OpenPublishedAsync(taken, cancellation);
        return taken;
    }

    public async Task<ExportInfo> CloneAsync(
        string snapshot, string name, DurabilityLevel? level, CancellationToken cancellation)
    {
        ExportRules.CheckName(name);
        PendingClone clone;
        using (await TakeTurnAsync(cancellation))
        {
            ExportInfo origin = RequireSnapshot(snapshot).Info;
            if (FindClone(name, origin.Id, level) is not { } same)
            {
                RequireFree(name);
                var change = new CatalogChange.CreateClone(++_lastId, name, origin.Id.Value, level ?? origin.Level);
                await JournalPendingAsync(change, [name], cancellation);
                ExportInfo made = change.ToInfo(origin);
                same = new PendingClone(made, OpenPublishedAsync([made], CancellationToken.None));
                _clones[name] = same;
            }

            clone = same;
        }

        // Goes on when the caller gives up: what is journaled takes effect all the same.
        await clone.Opened.WaitAsync(cancellation);
        _clones.TryRemove(KeyValuePair.Create(name, clone));
        return clone.Info;
    }

    // Asked for again, by who gave up waiting or lost the answer: it is there, or on its way.
    private PendingClone? FindClone(string name, ExportId origin, DurabilityLevel? level)
    {
        PendingClone? found = _byName.TryGetValue(name, out ExportDevice? open)
            ? new PendingClone(open.Info, Task.CompletedTask)
            : _clones.GetValueOrDefault(name) is { Opened.IsCompleted: false } pending ? pending : null;
        return found?.Info.CloneOf == origin && (level ?? found.Info.Level) == found.Info.Level ? found : null;
    }

    public async Task<ExportInfo> RollBackAsync(string snapshot, bool force, CancellationToken cancellation)
    {
        ExportInfo before;
        using (await TakeTurnAsync(cancellation))
        {
            ExportInfo target = RequireSnapshot(snapshot).Info;
            ExportDevice export = _byName.Values.FirstOrDefault(e => e.Info.Id == target.Snapshot!.Of)
                ?? throw new StorageFaultException(FaultKind.NotFound, $"The export of the snapshot '{snapshot}' is not there.");
            if (!force) RequireDetached(export);
            before = export.Info with { SizeBytes = target.SizeBytes };
            var change = new CatalogChange.RollBack(before.Id.Value, target.Id.Value);

            // Clients that are attached all the same keep the device that was, which refuses them from now on.
            await JournalPendingAsync(change, [before.Name], cancellation, replaces: export);
        }

        await OpenPublishedAsync([before], cancellation);
        return before;
    }

    private async Task<ExportInfo> CreateInTurnAsync(
        string name, long sizeBytes, DurabilityLevel level, NewExportOptions options, CancellationToken cancellation)
    {
        var create = new CatalogChange.CreateExport(
            ++_lastId, name, sizeBytes, options.ChunkBytes ?? _runtime.Options.ChunkBytes, level,
            Compression: options.CompressionLevel);
        ExportInfo info = create.ToInfo();
        CommittedMap map = _runtime.PrepareMap(info);
        await _runtime.Front.ChangeCatalogAsync(
            create.Encode(), () => Add(_runtime.NewExport(info, map, new Memtable())), cancellation);
        return _byName[name].Info;
    }

    private async Task<ExportInfo> AlterInTurnAsync(ExportDevice export, ExportPatch patch, CancellationToken cancellation)
    {
        ExportInfo before = export.Info;
        var change = new CatalogChange.AlterExport(
            before.Id.Value, patch.Name, patch.Level, patch.IsReadOnly, patch.Description, patch.WriteThrough,
            patch.CompressionLevel);
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
        foreach (ExportDevice snapshot in SnapshotsOf(export.Info.Id))
        {
            string old = snapshot.Info.Name;
            snapshot.Rename(SnapshotInfo.NameOf(after, snapshot.Info.Snapshot!.Name));
            _byName[snapshot.Info.Name] = snapshot;
            _byName.TryRemove(old, out _);
        }
    }

    // The names stay taken until the record is published and what it makes can be opened.
    private ValueTask JournalPendingAsync(
        CatalogChange change, string[] names, CancellationToken cancellation, ExportDevice? replaces = null) =>
        _runtime.Front.ChangeCatalogAsync(
            change.Encode(),
            () =>
            {
                if (replaces is not null) Remove(replaces);
                lock (_pending) _pending.UnionWith(names);
            },
            cancellation);

    // Goes on when the caller gives up: what is journaled takes effect all the same.
    private Task OpenPublishedAsync(IReadOnlyList<ExportInfo> exports, CancellationToken cancellation) =>
        OpenPublishedAsync(exports).WaitAsync(cancellation);

    private async Task OpenPublishedAsync(IReadOnlyList<ExportInfo> exports)
    {
        // When this fails, the store is at its end: the names stay taken.
        await _runtime.Front.FlushAsync(DurabilityLevel.Published, CancellationToken.None);
        foreach (ExportInfo info in exports)
        {
            if (_runtime.Committed(info.Id) is { } committed) Add(_runtime.NewExport(committed));
        }

        lock (_pending) _pending.ExceptWith(exports.Select(static info => info.Name));
    }

    private void Add(ExportDevice export) => _byName[export.Info.Name] = export;

    private void Remove(ExportDevice export)
    {
        export.Close();
        _byName.TryRemove(export.Info.Name, out _);
    }

    private IEnumerable<ExportDevice> SnapshotsOf(ExportId export) =>
        _byName.Values.Where(other => other.Info.Snapshot?.Of == export);

    private ExportDevice Require(string name) =>
        _byName.GetValueOrDefault(name) ?? throw new StorageFaultException(FaultKind.NotFound, $"There is no export '{name}'.");

    private ExportDevice RequireExport(string name) => Require(name) is { Info.Snapshot: null } export
        ? export
        : throw new StorageFaultException(FaultKind.Invalid, $"'{name}' is a snapshot, which does not change.");

    private ExportDevice RequireSnapshot(string name) => Require(name) is { Info.Snapshot: not null } snapshot
        ? snapshot
        : throw new StorageFaultException(FaultKind.Invalid, $"'{name}' is not a snapshot: name one as export@snapshot.");

    private void RequireFree(string name)
    {
        bool isPending;
        lock (_pending) isPending = _pending.Contains(name);
        if (isPending || _byName.ContainsKey(name)) throw Conflict($"There is an export '{name}' already.");
    }

    private ExportInfo? FormerlyNamed(string name) =>
        List().FirstOrDefault(info => info.FormerNames?.Names.Contains(name) == true);

    private static void RequireDetached(ExportDevice export)
    {
        if (export.Attached > 0) throw Conflict($"The export '{export.Info.Name}' has clients attached ({export.Attached}). Detach them first, or force it.");
    }

    private static StorageFaultException Conflict(string message) => new(FaultKind.Conflict, message);

    private async Task<Turn> TakeTurnAsync(CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        return new Turn(_turn);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The export '{Name}' has {Bytes} bytes; the {Configured} that are configured count only when it is made.")]
    private partial void LogOtherSize(string name, long bytes, long configured);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The export '{Name}' that is configured is not made: it was renamed to '{Now}'. Configure that name, or create '{Name}' explicitly.")]
    private partial void LogRenamed(string name, string now);

    private sealed record PendingClone(ExportInfo Info, Task Opened);

    private readonly struct Turn(SemaphoreSlim turn) : IDisposable
    {
        public void Dispose() => turn.Release();
    }
}
