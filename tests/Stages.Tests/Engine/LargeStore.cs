using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Tests.Engine;

// Writes a store with one export that is mapped from end to end, by the product's own stages, without the volume: every
// chunk holds the same byte, and is compressed once. Chunks, frames, tables, pages and checkpoints are those of real data.
internal sealed class LargeStore(IObjectStore objects, StoreKeys keys, BufferPool buffers)
{
    public const int TableBytes = 16 * 1024 * 1024;
    public const int ChunkBytes = 128 * 1024;
    public const byte Stamp = 0xA5;

    // Changes in memory between two checkpoints: a few hundred MiB at most.
    private const int CheckpointTables = 16 * 1024;

    private readonly OneFrameCodec _codec = new(ZstdCodec.Create());
    private ulong _sequence;

    // Leaves `behind` tables that no checkpoint covers.
    public async Task WriteAsync(long exportBytes, int behind)
    {
        var session = Guid.NewGuid();
        var patient = new RetryingObjectStore(
            objects, RetryPolicy.ForUploads, new StoreHealth(TimeProvider.System, NullLoggerFactory.Instance), TimeProvider.System, new Random(1));
        var walker = new ChainWalker(patient, keys, _codec, NullLogger.Instance);
        var takeover = new Takeover(patient, keys, walker, new SystemEntropy(), TimeProvider.System, NullLogger.Instance);
        StoreState state = (await takeover.RunAsync(session, static (_, _) => { }, CancellationToken.None)).State;
        var folder = new MapFolder(state.Tables, keys, _codec, objects, new SystemEntropy(), TimeProvider.System, buffers, null);
        BufferLease payload = buffers.Rent(TableBytes);
        payload.Span.Fill(Stamp);
        int tables = (int)(exportBytes / TableBytes);
        for (int i = 0; i < tables + behind; i++)
        {
            TableDraft draft = Build(state, session, (long)(i % tables) * TableBytes, payload, i == 0 ? exportBytes : null);
            await objects.TryCreateAsync(ChainNames.Table(draft.Position), draft.Object, CancellationToken.None);
            state.Apply(InfoOf(draft), draft.Index!, session);
            draft.Release();
            if (i == tables - 1 || (i < tables && i % CheckpointTables == CheckpointTables - 1)) await CheckpointAsync(state, folder);
        }

        payload.Release();
    }

    private async Task CheckpointAsync(StoreState state, MapFolder folder)
    {
        byte[] salt = new byte[TableIdentity.SaltBytes];
        new SystemEntropy().Fill(salt);
        FrozenState frozen = state.Freeze(folder.SparseObjects());
        FoldedMap folded = await folder.FoldAsync(frozen, CancellationToken.None);
        ReadOnlyMemory<byte> body = Checkpoint.Encode(frozen, folded, state.Tables, keys, _codec, salt, 0);
        await objects.TryCreateAsync(ChainNames.Checkpoint(state.Position), body, CancellationToken.None);
        await objects.TryCreateAsync(ChainNames.CheckpointCopy(state.Position), body, CancellationToken.None);
        state.Install(folded);
        frozen.Drop();
    }

    private TableDraft Build(StoreState state, Guid session, long offset, BufferLease payload, long? newExport)
    {
        var records = new List<WriteRecord>();
        var after = new Sequence(_sequence);
        if (newExport is { } size)
        {
            byte[] change = new CatalogChange.CreateExport(1, "disk", size, ChunkBytes, DurabilityLevel.Journaled).Encode();
            var create = new WalRecordHeader(new Sequence(++_sequence), WalRecordKind.Catalog, default, 0, 0);
            records.Add(new WriteRecord(create, default, 0, null, 0, null) { CatalogChange = change });
        }

        payload.AddReference();
        var write = new WalRecordHeader(new Sequence(++_sequence), WalRecordKind.Data, new ExportId(1), offset, TableBytes);
        records.Add(new WriteRecord(write, default, 0, payload, 0, null));
        var draft = new TableDraft { Position = state.Position.NextNumber, After = after, Records = records, PlainBytes = TableBytes, IsUrgent = false };
        foreach (WriteRecord record in records)
        {
            record.Payload?.AddReference();
            draft.AddPayload(record.Payload);
        }

        new ChunkStage(static _ => ChunkBytes, state.FamilyOf).Run(draft);
        new CompressStage(_codec, buffers, static _ => 1).Run(draft);
        new SealStage(keys, new SystemEntropy()).Run(draft);
        new TableStage(keys, _codec, session, TimeProvider.System).Run(draft);
        payload.Release();
        return draft;
    }

    private static TableInfo InfoOf(TableDraft draft) => new()
    {
        Epoch = draft.Position.Epoch,
        Number = draft.Position.Number,
        Salt = draft.Salt,
        Key = draft.Key,
        ObjectBytes = draft.BodyBytes,
        FirstSequence = draft.FirstSequence,
        LastSequence = draft.LastSequence,
        ObjectKey = ChainNames.Table(draft.Position),
        PlainBytes = draft.Index!.DataBytes,
    };

    // A chunk compresses to what the first one did.
    private sealed class OneFrameCodec(IChunkCodec codec) : IChunkCodec
    {
        private byte[]? _chunk;

        public string Description => codec.Description;

        public int MaxCompressedBytes(int plain) => codec.MaxCompressedBytes(plain);

        public int TryCompress(ReadOnlySpan<byte> plain, Span<byte> destination, int level)
        {
            if (plain.Length != ChunkBytes || plain[0] != Stamp) return codec.TryCompress(plain, destination, level);
            if (_chunk is null)
            {
                byte[] encoded = new byte[ChunkBytes];
                _chunk = encoded[..codec.TryCompress(plain, encoded, level)];
            }

            _chunk.CopyTo(destination);
            return _chunk.Length;
        }

        public void Decompress(ReadOnlySpan<byte> compressed, Span<byte> plain) => codec.Decompress(compressed, plain);

        public void Dispose() => codec.Dispose();
    }
}
