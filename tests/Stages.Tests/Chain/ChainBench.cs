using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Chain;

// A bucket, and writers that make real tables for it by the product's own stages.
internal sealed class ChainBench
{
    public const int ChunkBytes = 16 * 1024;
    public const long ExportBytes = 64L * ChunkBytes;
    public static readonly ExportId Export = new(1);

    public ChainBench()
    {
        Objects = new SimulatedObjectStore(TimeProvider.System);
        Patient = new RetryingObjectStore(
            Objects, RetryPolicy.ForUploads, new StoreHealth(TimeProvider.System, NullLoggerFactory.Instance),
            TimeProvider.System, new Random(1));
    }

    public SimulatedObjectStore Objects { get; }

    // The same bucket with the patience that the product adds.
    public RetryingObjectStore Patient { get; }

    public StoreKeys Keys { get; } = new(Guid.Parse("11111111-2222-3333-4444-555555555555"), new byte[32]);

    public IChunkCodec Codec { get; } = ZstdCodec.Create();

    public BufferPool Buffers { get; } = new(1 << 20);

    public ChainWalker NewWalker() => new(Patient, Keys, Codec, NullLogger.Instance);

    public async Task<ChainWriter> TakeOverAsync(Guid? session = null)
    {
        Guid own = session ?? Guid.NewGuid();
        var takeover = new Takeover(Patient, Keys, NewWalker(), new SystemEntropy(), TimeProvider.System, NullLogger.Instance);
        TakeoverResult result = await takeover.RunAsync(own, (_, _) => { }, CancellationToken.None);
        return new ChainWriter(this, result, own);
    }

    // The committed bytes of the export, read through the map; each byte written is its table's stamp.
    public async Task<byte[]> ReadExportAsync(StoreState state)
    {
        byte[] image = new byte[ExportBytes];
        if (state.Find(Export) is not { } export) return image;
        await using FrameReader reader = AttachReader(state);
        var hits = new List<CommittedHit>();
        await export.Map.CollectAsync(new BlockRange(0, ExportBytes), hits, CancellationToken.None);
        foreach (CommittedHit hit in hits)
        {
            if (hit.Frame is not { } frame) continue;
            byte[] body = Objects.Peek(state.Tables.ObjectKeyOf(frame.Key.Table))!;
            byte[] plain = new byte[frame.PlainBytes];
            state.Tables.Open(frame, body.AsSpan((int)frame.ObjectOffset, frame.SealedBytes), plain);
            plain.AsSpan((int)(hit.Range.Offset - frame.ExportOffset), (int)hit.Range.Length)
                .CopyTo(image.AsSpan((int)hit.Range.Offset));
        }

        return image;
    }

    // Gives the state's maps their way to stored pages, without any cache.
    public FrameReader AttachReader(StoreState state)
    {
        var memory = new FrameMemoryCache(0);
        var reader = new FrameReader(
            Patient, state.Tables, memory, null, Buffers, new PipelineMetrics(), new FrameReaderOptions());
        state.Pages.Attach(reader, memory, budgetBytes: 0);
        return reader;
    }
}

// One writer's term, without the engine: it commits what it is told to.
internal sealed class ChainWriter(ChainBench bench, TakeoverResult taken, Guid session)
{
    private readonly StoreSupervisor _supervisor = new(NullLogger.Instance);
    private readonly MapFolder _folder = new(
        taken.State.Tables, bench.Keys, bench.Codec, bench.Objects, new SystemEntropy(), TimeProvider.System,
        bench.Buffers, null);

    private ulong _sequence = taken.State.LastSequence.Value;

    public TakeoverResult Taken => taken;

    public StoreState State => taken.State;

    public Guid Session => session;

    // Creates the export if need be, and writes one range full of the stamp, as the next table.
    public async Task CommitAsync(BlockRange range, byte stamp)
    {
        TableDraft draft = Build(range, stamp, State.Position.NextNumber);
        await new UploadStage(bench.Patient, bench.Patient, bench.Keys, _supervisor).RunAsync(draft);
        State.Apply(InfoOf(draft), draft.Index!, session);
        draft.Release();
    }

    // Uploads ahead of the prefix, as a writer with several uploads in flight does.
    public async Task UploadAheadAsync(BlockRange range, byte stamp, ulong ahead)
    {
        ChainPosition at = State.Position with { Number = State.Position.Number + ahead };
        TableDraft draft = Build(range, stamp, at);
        await new UploadStage(bench.Patient, bench.Patient, bench.Keys, _supervisor).RunAsync(draft);
        draft.Release();
    }

    // Puts a table in front of the prefix that says, as of a place, what its range holds there; commits it if it is told to.
    public async Task SettleAsync(BlockRange range, byte stamp, ChainPosition asOf, bool commits)
    {
        BufferLease payload = bench.Buffers.Rent((int)range.Length);
        payload.Span.Fill(stamp);
        var draft = new TableDraft
        {
            Position = State.Position.NextNumber,
            After = State.LastSequence,
            Records = [],
            Settled = new SettledBatch(asOf, payload),
            PlainBytes = range.Length,
            IsUrgent = false,
        };
        draft.Pieces.Add(new FramePiece(-1, 0, (int)range.Length));
        draft.Plans.Add(new FramePlan(ChainBench.Export, State.FamilyOf(ChainBench.Export), range.Offset, (int)range.Length, 0, 1));
        Make(draft);
        await new UploadStage(bench.Patient, bench.Patient, bench.Keys, _supervisor).RunAsync(draft);
        if (commits) State.Apply(InfoOf(draft), draft.Index!, session);
        draft.Release();
    }

    public async Task CheckpointAsync()
    {
        byte[] salt = Guid.NewGuid().ToByteArray().Concat(Guid.NewGuid().ToByteArray()).ToArray();
        await using FrameReader reader = bench.AttachReader(State);
        FrozenState frozen = State.Freeze(_folder.SparseObjects());
        FoldedMap folded = await _folder.FoldAsync(frozen, CancellationToken.None);
        ReadOnlyMemory<byte> body = Checkpoint.Encode(
            frozen, folded, State.Tables, bench.Keys, bench.Codec, salt, 0);
        Assert.True(await bench.Objects.TryCreateAsync(ChainNames.Checkpoint(State.Position), body, CancellationToken.None));
        State.Install(folded);
        frozen.Drop();
    }

    public void DeleteDeadTables()
    {
        foreach (var (ordinal, table) in State.Tables.All().ToList())
        {
            if (table.LiveBytes != 0) continue;
            bench.Objects.Remove(table.ObjectKey);
            State.Tables.Remove(ordinal);
        }
    }

    private TableDraft Build(BlockRange range, byte stamp, ChainPosition at)
    {
        var records = new List<WriteRecord>();
        var after = new Sequence(_sequence);
        if (State.Find(ChainBench.Export) is null)
        {
            byte[] change = new CatalogChange.CreateExport(
                1, "disk", ChainBench.ExportBytes, ChainBench.ChunkBytes, DurabilityLevel.Journaled).Encode();
            var create = new WalRecordHeader(new Sequence(++_sequence), WalRecordKind.Catalog, default, 0, 0);
            records.Add(new WriteRecord(create, default, 0, null, 0, null) { CatalogChange = change });
        }

        BufferLease payload = bench.Buffers.Rent((int)range.Length);
        payload.Span.Fill(stamp);
        var write = new WalRecordHeader(new Sequence(++_sequence), WalRecordKind.Data, ChainBench.Export, range.Offset, range.Length);
        records.Add(new WriteRecord(write, default, 0, payload, 0, null));
        var draft = new TableDraft
        {
            Position = at,
            After = after,
            Records = records,
            PlainBytes = range.Length,
            IsUrgent = false,
        };
        foreach (WriteRecord record in records)
        {
            record.Payload?.AddReference();
            draft.AddPayload(record.Payload);
        }

        Make(draft);
        payload.Release();
        return draft;
    }

    private void Make(TableDraft draft)
    {
        new ChunkStage(_ => ChainBench.ChunkBytes, State.FamilyOf).Run(draft);
        new CompressStage(bench.Codec, bench.Buffers, static _ => 1).Run(draft);
        new SealStage(bench.Keys, new SystemEntropy()).Run(draft);
        new TableStage(bench.Keys, bench.Codec, session, TimeProvider.System).Run(draft);
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
    };
}
