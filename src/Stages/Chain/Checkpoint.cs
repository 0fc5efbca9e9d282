using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// Encodes the root of the committed state as of a table, and restores it: the objects, their live bytes, the exports,
/// and where the pages of their maps are. Layout: docs/formats.md.
/// </summary>
internal static class Checkpoint
{
    /// <summary>Largest root that is read, in bytes: the page tables of about 100 TiB, compressed.</summary>
    public const int BytesMax = 1 << 28;

    private const int CatalogBytesMax = 64 * 1024;
    private const uint EndOfPages = uint.MaxValue;

    /// <summary>Encodes a frozen state whose changes are in the pages of <paramref name="folded"/>.</summary>
    public static ReadOnlyMemory<byte> Encode(
        FrozenState state, FoldedMap folded, TableRegistry tables, StoreKeys keys, IChunkCodec codec, byte[] salt,
        long unixMs)
    {
        var identity = new TableIdentity
        {
            Kind = ChainObjectKind.Checkpoint,
            StoreId = keys.StoreId,
            Session = state.Session,
            Salt = salt,
            Epoch = state.Position.Epoch,
            Number = state.Position.Number,
            FirstSequence = state.LastSequence.Next,
            LastSequence = state.LastSequence,
            CreatedUnixMs = unixMs,
        };
        using var writer = new SealedBlockWriter(keys.CheckpointKey(salt), identity, codec);
        WriteTables(writer, state, folded, tables);
        writer.WriteUInt32(state.LastExportId.Value);
        writer.WriteUInt32((uint)state.Exports.Count);
        var moved = folded.Pages.ToDictionary(static page => page.Slot, static page => page.Place);
        FrozenExport? before = null;
        foreach (FrozenExport export in InOrder(state.Exports))
        {
            // Relatives differ by little: each says where it is not like the one before it.
            if (before?.Map.Family != export.Map.Family) before = null;
            WriteExport(writer, export, before, moved);
            before = export;
        }

        return writer.Finish();
    }

    /// <summary>When the checkpoint at <paramref name="at"/> was made, by its first bytes; null when those are not of one.</summary>
    /// <exception cref="ObjectStoreException">It is not there, or cannot be read.</exception>
    public static async Task<DateTimeOffset?> ReadTimeAsync(IObjectStore objects, ChainPosition at, CancellationToken cancellation)
    {
        byte[] head = new byte[TableIdentity.Bytes];
        await objects.ReadRangeAsync(ChainNames.Checkpoint(at), 0, head, cancellation);
        return TableIdentity.TryRead(head, out TableIdentity? identity) == ParseResult.Ok
            ? DateTimeOffset.FromUnixTimeMilliseconds(identity!.CreatedUnixMs)
            : null;
    }

    /// <summary>Restores the state that <see cref="Encode"/> saw.</summary>
    /// <exception cref="StorageFaultException">The object is foreign, damaged, or of a newer format.</exception>
    public static StoreState Decode(ReadOnlyMemory<byte> body, ChainPosition at, StoreKeys keys, IChunkCodec codec)
    {
        string name = ChainNames.Checkpoint(at);
        switch (TableIdentity.TryRead(body.Span, out TableIdentity? identity))
        {
            case ParseResult.Newer:
                throw new StorageFaultException(
                    FaultKind.Invalid, $"The checkpoint {name} has a newer format than this program knows. Use a newer ZeroFlow.");
            case ParseResult.Ok when identity!.Kind == ChainObjectKind.Checkpoint && identity.StoreId == keys.StoreId &&
                                     identity.Epoch == at.Epoch && identity.Number == at.Number:
                break;
            default:
                throw StorageFaultException.Corrupt($"The object {name} is not a checkpoint of this store.");
        }

        using var reader = new SealedBlockReader(keys.CheckpointKey(identity.Salt), body, codec, name);
        var state = new StoreState(keys.StoreId, codec);
        ReadTables(reader, state.Tables, keys);
        var lastExport = new ExportId(reader.ReadUInt32());
        uint exports = reader.ReadUInt32();
        CommittedExport? before = null;
        var known = new Dictionary<Fragment, MapSlot>();
        for (uint i = 0; i < exports; i++) before = ReadExport(reader, state, before, known);
        reader.ExpectEnd();
        state.Restore(at, identity.Session, identity.LastSequence, lastExport);
        return state;
    }

    private static void WriteTables(
        SealedBlockWriter writer, FrozenState state, FoldedMap folded, TableRegistry tables)
    {
        // Tables that were committed while the map was being folded are not part of this state.
        var listed = tables.All().Where(t => t.Ordinal <= state.LastOrdinal || folded.Objects.Contains(t.Ordinal)).ToList();
        writer.WriteUInt32((uint)listed.Count);
        foreach (var (ordinal, table) in listed)
        {
            writer.WriteUInt32((uint)ordinal);
            writer.WriteUInt32((uint)table.Kind);
            writer.WriteUInt32(table.Epoch);
            writer.WriteUInt64(table.Number);
            writer.WriteUInt64((ulong)table.ObjectBytes);
            writer.WriteUInt64((ulong)table.PlainBytes);
            writer.WriteUInt64((ulong)(table.LiveBytes + folded.Live.GetValueOrDefault(ordinal)));
            writer.WriteUInt64(table.FirstSequence.Value);
            writer.WriteUInt64(table.LastSequence.Value);
            writer.Write(table.Salt);
        }
    }

    private static void ReadTables(SealedBlockReader reader, TableRegistry registry, StoreKeys keys)
    {
        uint count = reader.ReadUInt32();
        for (uint i = 0; i < count; i++)
        {
            uint ordinal = reader.ReadUInt32();
            var kind = (ChainObjectKind)reader.ReadUInt32();
            var at = new ChainPosition(reader.ReadUInt32(), reader.ReadUInt64());
            long objectBytes = (long)reader.ReadUInt64();
            long plainBytes = (long)reader.ReadUInt64();
            long liveBytes = (long)reader.ReadUInt64();
            var first = new Sequence(reader.ReadUInt64());
            var last = new Sequence(reader.ReadUInt64());
            byte[] salt = new byte[TableIdentity.SaltBytes];
            reader.Read(salt);
            var table = new TableInfo
            {
                Kind = kind,
                Epoch = at.Epoch,
                Number = at.Number,
                ObjectBytes = objectBytes,
                PlainBytes = plainBytes,
                FirstSequence = first,
                LastSequence = last,
                Salt = salt,
                Key = keys.TableKey(salt),
                ObjectKey = kind switch
                {
                    ChainObjectKind.Table => ChainNames.Table(at),
                    ChainObjectKind.MapPages => ChainNames.MapPages(at),
                    _ => throw reader.Damaged(),
                },
            };
            table.AddLive(liveBytes);
            if (ordinal > int.MaxValue || !registry.TryRestore((int)ordinal, table)) throw reader.Damaged();
        }
    }

    // A family's exports, then its snapshots from the newest: neighbours are close in time.
    private static IEnumerable<FrozenExport> InOrder(IReadOnlyList<FrozenExport> exports) => exports
        .OrderBy(static export => export.Map.Family.Id.Value)
        .ThenBy(static export => export.Info.Snapshot is not null)
        .ThenBy(static export => export.Info.Snapshot?.Of.Value)
        .ThenBy(static export => export.Info.Snapshot is null ? export.Info.Id.Value : uint.MaxValue - export.Info.Id.Value);

    private static void WriteExport(
        SealedBlockWriter writer, FrozenExport export, FrozenExport? before, Dictionary<SlotBase, Fragment> moved)
    {
        writer.WriteBytes(CatalogChange.CreateExport.From(export.Info).Encode());
        writer.WriteUInt32(export.Map.Family.Id.Value);
        foreach ((int page, MapSlot? slot) in export.View.DifferencesFrom(before?.View))
        {
            Fragment place = PlaceOf(slot);

            // Slots that differ need not be stored: one without a page is like none.
            if (place.Table != 0 || (before is not null && PlaceOf(before.View[page]).Table != 0)) WritePage(writer, page, place);
        }

        writer.WriteUInt32(EndOfPages);

        Fragment PlaceOf(MapSlot? slot) =>
            slot?.Base is { } below && moved.TryGetValue(below, out Fragment place) ? place : slot?.Place ?? default;
    }

    private static void WritePage(SealedBlockWriter writer, int page, Fragment place)
    {
        writer.WriteUInt32((uint)page);
        writer.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<Fragment>(in place)));
    }

    private static CommittedExport ReadExport(
        SealedBlockReader reader, StoreState state, CommittedExport? before, Dictionary<Fragment, MapSlot> known)
    {
        if (CatalogChange.Decode(reader.ReadBytes(CatalogBytesMax)) is not CatalogChange.CreateExport created)
            throw reader.Damaged();
        ExportInfo info = created.ToInfo();
        var family = new ExportId(reader.ReadUInt32());
        CommittedMap map;
        if (before?.Map.Family.Id == family)
        {
            map = before.Map.Fork(default);
            map.Grow(info.SizeBytes);
        }
        else
        {
            map = new CommittedMap(state.Tables, state.Pages, family, info.SizeBytes);
            known.Clear();
        }

        for (uint page = reader.ReadUInt32(); page != EndOfPages; page = reader.ReadUInt32())
        {
            Fragment place = default;
            reader.Read(MemoryMarshal.AsBytes(new Span<Fragment>(ref place)));
            bool isPage = place.Table > 0 && state.Tables[place.Table] is { Kind: ChainObjectKind.MapPages } &&
                          place is { PlainBytes: > 0, Skipped: 0 };
            if ((!isPage && place != default) || !map.TryRestore(page, place, known)) throw reader.Damaged();
        }

        return state.AddExport(info, map);
    }
}
