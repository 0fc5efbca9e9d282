using System.Collections.Concurrent;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>One export as the committed chain knows it.</summary>
internal sealed record CommittedExport(ExportInfo Info, CommittedMap Map);

/// <summary>
/// The committed state of a store: a pure function of the chain up to <see cref="Position"/>. Recovery and the commit
/// stage change it through the same methods. One writer; the maps inside allow concurrent readers.
/// </summary>
internal sealed class StoreState
{
    private readonly SortedDictionary<uint, CommittedExport> _exports = [];
    private readonly ConcurrentDictionary<uint, CommittedMap> _prepared = new();

    public StoreState(Guid storeId, IChunkCodec codec) => Tables = new TableRegistry(storeId, codec);

    public TableRegistry Tables { get; }

    /// <summary>The memory that all maps share.</summary>
    public MapPages Pages { get; } = new();

    /// <summary>The last committed table; its number is zero when the epoch has none yet.</summary>
    public ChainPosition Position { get; private set; }

    /// <summary>The checkpoint that this state was restored from; zero without one. Its pages are this state's own.</summary>
    public ChainPosition StartedFrom { get; private set; }

    /// <summary>The writer of the newest epoch.</summary>
    public Guid Session { get; private set; }

    /// <summary>Everything up to here is in committed tables.</summary>
    public Sequence LastSequence { get; private set; }

    /// <summary>Tables applied since the checkpoint that this state began with.</summary>
    public int TablesApplied { get; private set; }

    public IReadOnlyCollection<CommittedExport> Exports => _exports.Values;

    /// <summary>Applies the next table of the chain.</summary>
    /// <returns>The ordinal that the registry gave it.</returns>
    public int Apply(TableInfo info, TableIndex index, Guid session)
    {
        var at = new ChainPosition(info.Epoch, info.Number);
        if (at != Position.NextNumber)
            throw StorageFaultException.Corrupt($"Table {at} does not follow {Position} in the chain.");
        if (info.FirstSequence != LastSequence.Next)
        {
            throw StorageFaultException.Corrupt(
                $"Table {at} begins at sequence {info.FirstSequence}, but the chain before it ends at {LastSequence}.");
        }

        int ordinal = Tables.Add(info);
        foreach (CatalogRecord record in index.Catalog) Apply(CatalogChange.Decode(record.Change));
        long objectOffset = TableIdentity.Bytes;
        int frame = 0;
        foreach (TableEntry entry in index.Entries)
        {
            if (!_exports.TryGetValue(entry.Export.Value, out CommittedExport? export) ||
                !entry.Range.FitsIn(export.Info.SizeBytes))
                throw StorageFaultException.Corrupt($"Table {at} holds {entry.Range} of export {entry.Export}, which is not there.");
            export.Map.Apply(entry, ordinal, frame, objectOffset, at with { Number = at.Number - entry.TablesBack });
            if (!entry.HasFrame) continue;
            objectOffset += entry.SealedBytes;
            frame++;
        }

        TablesApplied++;
        LastSequence = info.LastSequence;
        Position = at;
        Session = session;
        return ordinal;
    }

    /// <summary>A seal at the next number: the epoch ends, and <paramref name="session"/> begins the next one.</summary>
    public void EndEpoch(Guid session)
    {
        Position = Position.NextEpoch;
        Session = session;
    }

    /// <summary>
    /// Holds the state still for a checkpoint. Between two tables, and only when the last frozen state is installed.
    /// </summary>
    public FrozenState Freeze() => new(
        Position, Session, LastSequence, Tables.LastOrdinal,
        [.. _exports.Values.Select(export => new FrozenExport(export.Info, export.Map, export.Map.Freeze()))]);

    /// <summary>The frozen state's changes are in stored pages, named by a stored checkpoint.</summary>
    public void Install(FoldedMap folded)
    {
        foreach (FoldedPage page in folded.Pages) page.Slot.Map.Install(page.Slot, page.Place, page.Resident);
        foreach (var (ordinal, bytes) in folded.Live) Tables[ordinal]?.AddLive(bytes);
    }

    /// <summary>Restores the scalars of a checkpoint.</summary>
    public void Restore(ChainPosition position, Guid session, Sequence lastSequence)
    {
        Position = StartedFrom = position;
        Session = session;
        LastSequence = lastSequence;
    }

    public CommittedExport? Find(ExportId id) => _exports.GetValueOrDefault(id.Value);

    /// <summary>Adds an export to the committed state.</summary>
    public CommittedExport AddExport(ExportInfo info)
    {
        if (!_prepared.TryRemove(info.Id.Value, out CommittedMap? map)) map = NewMap(info);
        var export = new CommittedExport(info, map);
        _exports[info.Id.Value] = export;
        return export;
    }

    /// <summary>
    /// Makes the map of an export whose creation is journaled but not yet committed, so that clients can attach at once.
    /// The committed state takes it over when the creation's table commits. Thread-safe.
    /// </summary>
    public CommittedMap PrepareMap(ExportInfo info) => _prepared[info.Id.Value] = NewMap(info);

    private CommittedMap NewMap(ExportInfo info) => new(Tables, Pages, info.Id, info.SizeBytes);

    private void Apply(CatalogChange change)
    {
        switch (change)
        {
            case CatalogChange.CreateExport create when !_exports.ContainsKey(create.Id):
                AddExport(create.ToInfo());
                break;
            case CatalogChange.ExportChange alter when _exports.TryGetValue(alter.Id, out CommittedExport? export):
                _exports[alter.Id] = export with { Info = alter.ApplyTo(export.Info) };
                break;
        }
    }
}
