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
    private readonly ConcurrentDictionary<uint, CommittedExport> _exports = new();
    private readonly ConcurrentDictionary<uint, CommittedMap> _prepared = new();

    // Those that lost a member since the last checkpoint.
    private readonly HashSet<MapFamily> _families = [];

    // What was committed up to here is no longer, or was never, in the changes on top of the pages: the last checkpoint
    // that was begun, or the one that this state was restored from.
    private ChainPosition _foldedUpTo;

    public StoreState(Guid storeId, IChunkCodec codec) => Tables = new TableRegistry(storeId, codec);

    public TableRegistry Tables { get; }

    /// <summary>The memory that all maps share.</summary>
    public MapPages Pages { get; } = new();

    /// <summary>The last committed table; its number is zero when the epoch has none yet.</summary>
    public ChainPosition Position { get; private set; }

    /// <summary>The checkpoint that this state was restored from; zero without one. Its pages are this state's own.</summary>
    public ChainPosition StartedFrom { get; private set; }

    /// <summary>Objects up to this ordinal are counted as of <see cref="StartedFrom"/>.</summary>
    public int StartedFromOrdinal { get; private set; }

    /// <summary>The writer of the newest epoch.</summary>
    public Guid Session { get; private set; }

    /// <summary>Everything up to here is in committed tables.</summary>
    public Sequence LastSequence { get; private set; }

    /// <summary>Tables applied since the checkpoint that this state began with.</summary>
    public int TablesApplied { get; private set; }

    /// <summary>The highest identity that any export or snapshot ever had: none is given twice.</summary>
    public ExportId LastExportId { get; private set; }

    /// <summary>The exports and snapshots, in the order of their identities. Thread-safe.</summary>
    public IReadOnlyList<CommittedExport> Exports => [.. _exports.OrderBy(static pair => pair.Key).Select(static pair => pair.Value)];

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
        foreach (CatalogRecord record in index.Catalog) Apply(CatalogChange.Decode(record.Change), at);
        Apply(index, ordinal, at);
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
    /// <param name="sparse">Objects whose pages are to be stored anew.</param>
    public FrozenState Freeze(IReadOnlySet<int> sparse)
    {
        IReadOnlyList<CommittedExport> exports = Exports;
        _foldedUpTo = Position;
        var due = new List<SlotBase>();
        var released = new List<StoredPage>();
        foreach (MapFamily family in Families())
        {
            family.Freeze(due);
            released.AddRange(family.TakeReleased());
        }

        if (sparse.Count > 0)
        {
            var known = due.ToHashSet();
            due.AddRange(exports
                .SelectMany(static export => export.Map.StoredPages())
                .Where(slot => sparse.Contains(slot.Place.Table) && known.Add(slot.Base!))
                .Select(static slot => slot.Base!));
        }

        due.Sort(static (a, b) => (a.Family.Id.Value, a.Page).CompareTo((b.Family.Id.Value, b.Page)));
        IEnumerable<StoredPage> replaced = due
            .Where(static slot => slot.Stored is not null)
            .GroupBy(static slot => slot.Stored!)
            .Where(static owners => owners.Count() == owners.Key.Owners)
            .Select(static owners => owners.Key);
        return new FrozenState(
            Position, Session, LastSequence, Tables.LastOrdinal, LastExportId,
            [.. exports.Select(static export => new FrozenExport(export.Info, export.Map, export.Map.View()))],
            due, replaced.ToHashSet(), released);
    }

    /// <summary>The frozen state's changes are in stored pages, named by a stored checkpoint.</summary>
    public void Install(FoldedMap folded)
    {
        foreach (FoldedPage page in folded.Pages) page.Slot.Family.Install(page.Slot, page.Place, page.Resident);
        foreach (var (ordinal, bytes) in folded.Live) Tables[ordinal]?.AddLive(bytes);
    }

    /// <summary>
    /// Every stored page that the live bytes count: those that maps have, and those that wait to be discounted. Between
    /// two tables.
    /// </summary>
    public IReadOnlyList<StoredPage> StoredPages()
    {
        MapFamily[] families = [.. _exports.Values.Select(static export => export.Map.Family).Concat(_families).Distinct()];
        return
        [
            .. Exports.SelectMany(static export => export.Map.StoredPages()).Select(static slot => slot.Base!.Stored!)
                .Concat(families.SelectMany(static family => family.Released))
                .Distinct(),
        ];
    }

    /// <summary>Restores the scalars of a checkpoint.</summary>
    public void Restore(ChainPosition position, Guid session, Sequence lastSequence, ExportId lastExport)
    {
        LastExportId = lastExport;
        StartedFromOrdinal = Tables.LastOrdinal;
        Position = StartedFrom = _foldedUpTo = position;
        Session = session;
        LastSequence = lastSequence;
    }

    /// <summary>An export or snapshot by its identity. Thread-safe.</summary>
    public CommittedExport? Find(ExportId id) => _exports.GetValueOrDefault(id.Value);

    /// <summary>The identity that frames of an export are sealed for. Thread-safe.</summary>
    public ExportId FamilyOf(ExportId id) => Find(id)?.Map.Family.Id ?? id;

    /// <summary>Adds an export or snapshot to the committed state.</summary>
    public CommittedExport AddExport(ExportInfo info, CommittedMap map)
    {
        LastExportId = new ExportId(Math.Max(LastExportId.Value, info.Id.Value));
        return _exports[info.Id.Value] = new CommittedExport(info, map);
    }

    /// <summary>
    /// Makes the map of an export whose creation is journaled but not yet committed, so that clients can attach at once.
    /// The committed state takes it over when the creation's table commits. Thread-safe.
    /// </summary>
    public CommittedMap PrepareMap(ExportInfo info) => _prepared[info.Id.Value] = NewMap(info);

    private CommittedMap NewMap(ExportInfo info) => new(Tables, Pages, info.Id, info.SizeBytes);

    // A family whose members are all deleted is kept until a checkpoint has discounted its pages.
    private MapFamily[] Families()
    {
        foreach (CommittedExport export in _exports.Values) _families.Add(export.Map.Family);
        MapFamily[] all = [.. _families.OrderBy(static family => family.Id.Value)];
        _families.Clear();
        return all;
    }

    private void Apply(TableIndex index, int ordinal, ChainPosition at)
    {
        TableFrame[]? frames = null;
        foreach (TableFrame frame in index.Frames()) Apply(frame, ordinal, at);
        foreach (TableEntry entry in index.Entries)
        {
            if (entry.HasFrame) continue;
            if (entry.Kind == TableEntryKind.SettledAgain) Apply(HeldBy(frames ??= [.. index.Frames()], entry, at), ordinal, at);
            else Apply(new TableFrame(0, 0, entry), ordinal, at);
        }
    }

    // The frame that a line names which has none of its own, as that line's.
    private static TableFrame HeldBy(TableFrame[] frames, in TableEntry line, ChainPosition at)
    {
        int number = line.SealedBytes;
        if ((uint)number >= (uint)frames.Length) throw StorageFaultException.Corrupt($"Table {at} names its frame {number}, which is not there.");
        TableFrame frame = frames[number];
        if (frame.Entry.Range != line.Range) throw StorageFaultException.Corrupt($"Table {at} names its frame {number} for {line.Range}, which it is not.");
        return frame with { Entry = line with { Encoding = frame.Entry.Encoding, SealedBytes = frame.Entry.SealedBytes } };
    }

    private void Apply(in TableFrame frame, int ordinal, ChainPosition at)
    {
        TableEntry line = frame.Entry;
        if (!_exports.TryGetValue(line.Export.Value, out CommittedExport? export))
        {
            // Written or settled before the export was deleted, and committed after it.
            if (line.Export.Value <= LastExportId.Value) return;
            throw StorageFaultException.Corrupt($"Table {at} holds {line.Range} of export {line.Export}, which is not there.");
        }

        // Whether settled bytes are still current shows in the changes alone. A checkpoint that was made between the
        // look-up and the commit, as of a writer that failed meanwhile, has folded some of them away: it names what is
        // current itself, so such a line says nothing.
        ChainPosition asOf = at with { Number = at.Number - line.TablesBack };
        if (line.IsSettled && asOf < _foldedUpTo) return;

        // What raced with a shrinking of the export ends where the export does.
        BlockRange range = line.Range.Intersect(new BlockRange(0, export.Info.SizeBytes));
        if (!range.IsEmpty) export.Map.Apply(frame, range, ordinal, asOf);
    }

    private void Apply(CatalogChange change, ChainPosition at)
    {
        switch (change)
        {
            case CatalogChange.CreateExport create when !_exports.ContainsKey(create.Id):
                ExportInfo info = create.ToInfo();
                if (!_prepared.TryRemove(create.Id, out CommittedMap? map)) map = NewMap(info);
                AddExport(info, map);
                break;
            case CatalogChange.ExportChange alter when _exports.TryGetValue(alter.Id, out CommittedExport? export):
                Alter(export, alter.ApplyTo(export.Info));
                break;
            case CatalogChange.DeleteExport delete when _exports.TryRemove(delete.Id, out CommittedExport? export):
                _families.Add(export.Map.Family);
                export.Map.Drop();
                break;
            case CatalogChange.CreateSnapshots snapshots:
                foreach (CatalogChange.SnapshotMember member in snapshots.Members)
                {
                    if (!_exports.TryGetValue(member.Of, out CommittedExport? origin)) continue;
                    AddExport(
                        CatalogChange.CreateSnapshots.InfoOf(origin.Info, member.Id, snapshots.Name, snapshots.CreatedUnixMs),
                        origin.Map.Fork(at));
                }

                break;
            case CatalogChange.CreateClone clone when _exports.TryGetValue(clone.Of, out CommittedExport? snapshot):
                AddExport(clone.ToInfo(snapshot.Info), snapshot.Map.Fork(at));
                break;
            case CatalogChange.RollBack back when _exports.TryGetValue(back.Id, out CommittedExport? export) &&
                                                  _exports.TryGetValue(back.To, out CommittedExport? target):
                _exports[back.Id] = new CommittedExport(
                    export.Info with { SizeBytes = target.Info.SizeBytes }, target.Map.Fork(at));
                export.Map.Drop();
                break;
        }
    }

    private void Alter(CommittedExport export, ExportInfo info)
    {
        export.Map.Grow(info.SizeBytes);
        _exports[info.Id.Value] = export with { Info = info };
        if (info.Name == export.Info.Name) return;
        foreach (CommittedExport other in _exports.Values)
        {
            if (other.Info.Snapshot is { } origin && origin.Of == info.Id)
                _exports[other.Info.Id.Value] = other with { Info = other.Info with { Name = SnapshotInfo.NameOf(info.Name, origin.Name) } };
        }
    }
}
