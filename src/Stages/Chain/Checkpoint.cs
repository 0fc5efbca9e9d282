using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// Encodes the committed state as of a table, and restores it. Layout: docs/formats.md. Entries of the map are copied
/// as they lie in memory, little-endian.
/// </summary>
internal static class Checkpoint
{
    /// <summary>Largest checkpoint that is read, in bytes: the map of about 8 TiB in 128 KiB chunks.</summary>
    public const int BytesMax = 1 << 30;

    private const int CatalogBytesMax = 64 * 1024;

    /// <summary>Encodes <paramref name="state"/>. Only the state's single writer may call this.</summary>
    public static ReadOnlyMemory<byte> Encode(
        StoreState state, StoreKeys keys, IChunkCodec codec, byte[] salt, long unixMs)
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
        Dictionary<int, int> ordinals = WriteTables(writer, state.Tables);
        writer.WriteUInt32((uint)state.Exports.Count);
        foreach (CommittedExport export in state.Exports) WriteExport(writer, export, ordinals);
        return writer.Finish();
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
        uint exports = reader.ReadUInt32();
        for (uint i = 0; i < exports; i++) ReadExport(reader, state);
        reader.ExpectEnd();
        state.Restore(at, identity.Session, identity.LastSequence);
        return state;
    }

    private static Dictionary<int, int> WriteTables(SealedBlockWriter writer, TableRegistry registry)
    {
        var tables = registry.All().ToList();
        var ordinals = new Dictionary<int, int>(tables.Count);
        writer.WriteUInt32((uint)tables.Count);
        foreach (var (ordinal, table) in tables)
        {
            ordinals[ordinal] = ordinals.Count + 1;
            writer.WriteUInt32(table.Epoch);
            writer.WriteUInt64(table.Number);
            writer.WriteUInt64((ulong)table.ObjectBytes);
            writer.WriteUInt64(table.FirstSequence.Value);
            writer.WriteUInt64(table.LastSequence.Value);
            writer.Write(table.Salt);
        }

        return ordinals;
    }

    private static void ReadTables(SealedBlockReader reader, TableRegistry registry, StoreKeys keys)
    {
        uint count = reader.ReadUInt32();
        for (uint i = 0; i < count; i++)
        {
            var at = new ChainPosition(reader.ReadUInt32(), reader.ReadUInt64());
            long bytes = (long)reader.ReadUInt64();
            var first = new Sequence(reader.ReadUInt64());
            var last = new Sequence(reader.ReadUInt64());
            byte[] salt = new byte[TableIdentity.SaltBytes];
            reader.Read(salt);
            registry.Add(new TableInfo
            {
                Epoch = at.Epoch,
                Number = at.Number,
                ObjectBytes = bytes,
                FirstSequence = first,
                LastSequence = last,
                Salt = salt,
                Key = keys.TableKey(salt),
                ObjectKey = ChainNames.Table(at),
            });
        }
    }

    private static void WriteExport(SealedBlockWriter writer, CommittedExport export, Dictionary<int, int> ordinals)
    {
        ExportInfo info = export.Info;
        var created = new CatalogChange.CreateExport(info.Id.Value, info.Name, info.SizeBytes, info.ChunkBytes, info.Level);
        writer.WriteBytes(created.Encode());
        var renamed = new ChunkEntry[CommittedMap.PageChunks];
        foreach (var (page, entries) in export.Map.Pages())
        {
            for (int i = 0; i < entries.Length; i++)
            {
                ChunkEntry e = entries[i];
                renamed[i] = e.IsHole ? default : new(ordinals[e.Table], e.Frame, e.ObjectOffset, e.SealedBytes, e.Encoding);
            }

            writer.WriteUInt32((uint)page);
            writer.Write(MemoryMarshal.AsBytes<ChunkEntry>(renamed));
        }

        writer.WriteUInt32(uint.MaxValue);
        writer.WriteUInt32((uint)export.Map.FragmentCount);
        foreach (Extent<Fragment> extent in export.Map.Fragments())
        {
            Fragment f = extent.Value;
            Fragment one = f.IsZero
                ? f
                : new(ordinals[f.Table], f.Frame, f.ObjectOffset, f.SealedBytes, f.Encoding, f.PlainBytes, f.Skipped);
            writer.WriteUInt64((ulong)extent.Range.Offset);
            writer.WriteUInt64((ulong)extent.Range.Length);
            writer.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<Fragment>(in one)));
        }
    }

    private static void ReadExport(SealedBlockReader reader, StoreState state)
    {
        if (CatalogChange.Decode(reader.ReadBytes(CatalogBytesMax)) is not CatalogChange.CreateExport created)
            throw reader.Damaged();
        CommittedExport export = state.AddExport(created.ToInfo());
        for (uint page = reader.ReadUInt32(); page != uint.MaxValue; page = reader.ReadUInt32())
        {
            var entries = new ChunkEntry[CommittedMap.PageChunks];
            reader.Read(MemoryMarshal.AsBytes(entries.AsSpan()));
            if (entries.Any(e => e.Table < 0 || e.Table > state.Tables.LastOrdinal) || !export.Map.TryRestorePage((int)page, entries))
                throw reader.Damaged();
        }

        uint fragments = reader.ReadUInt32();
        for (uint i = 0; i < fragments; i++)
        {
            var range = new BlockRange((long)reader.ReadUInt64(), (long)reader.ReadUInt64());
            Fragment fragment = default;
            reader.Read(MemoryMarshal.AsBytes(new Span<Fragment>(ref fragment)));
            if (!range.FitsIn(created.SizeBytes) || fragment.Table < 0 || fragment.Table > state.Tables.LastOrdinal)
                throw reader.Damaged();
            export.Map.RestoreFragment(range, fragment);
        }
    }
}
