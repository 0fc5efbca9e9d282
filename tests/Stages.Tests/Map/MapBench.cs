using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Map;

// A map with everything below it: tables without bodies, and checkpoints that go to a bucket in memory.
internal sealed class MapBench : IAsyncDisposable
{
    public static readonly ExportId Export = new(7);

    private static readonly Guid StoreId = Guid.Parse("11111111-2222-3333-4444-555555555555");

    private readonly BufferPool _buffers = new(1 << 20);
    private readonly IChunkCodec _codec = ZstdCodec.Create();
    private readonly StoreKeys _keys = new(StoreId, new byte[32]);
    private readonly long _pageBudgetBytes;
    private FrameReader _reader;
    private MapFolder _folder;
    private StoreState _state;
    private readonly long _size;
    private uint _lastExport = Export.Value;

    public MapBench(long size, long pageBudgetBytes)
    {
        _size = size;
        _pageBudgetBytes = pageBudgetBytes;
        _state = new StoreState(StoreId, _codec);
        _state.Restore(new ChainPosition(1, 0), StoreId, default, Export);
        Map = _state.AddExport(InfoOf(Export), new CommittedMap(Tables, Pages, Export, size)).Map;
        (_reader, _folder) = Attach();
    }

    public SimulatedObjectStore Objects { get; } = new(TimeProvider.System);

    public StoreState State => _state;

    public TableRegistry Tables => _state.Tables;

    public CommittedMap Map { get; }

    public MapPages Pages => _state.Pages;

    public ValueTask DisposeAsync() => _reader.DisposeAsync();

    // The next table of the chain; what it says about the map is applied by the caller.
    public int AddTable(ulong number) => Tables.Add(TableAt(new ChainPosition(1, number), default));

    public void Apply(in TableEntry entry, int table, int frame, ulong asOf = 0, CommittedMap? map = null) =>
        (map ?? Map).Apply(new TableFrame(frame, 128 + (frame * 100), entry), entry.Range, table, new ChainPosition(1, asOf));

    // A second map that begins as the first one is, as a snapshot's or a clone's does.
    public CommittedMap Fork(CommittedMap? map = null, ulong since = 0)
    {
        var id = new ExportId(++_lastExport);
        return _state.AddExport(InfoOf(id), (map ?? Map).Fork(new ChainPosition(1, since))).Map;
    }

    public FrozenState Freeze() => _state.Freeze(_folder.SparseObjects());

    public Task<FoldedMap> FoldAsync(FrozenState state) => _folder.FoldAsync(state, TestContext.Current.CancellationToken);

    public void Install(FrozenState frozen, FoldedMap folded)
    {
        _state.Install(folded);
        frozen.Drop();
    }

    public async Task CheckpointAsync()
    {
        FrozenState frozen = Freeze();
        Install(frozen, await FoldAsync(frozen));
    }

    // The next table of the chain, as the commit stage and recovery apply it. Returns its ordinal.
    public int Commit(IReadOnlyList<CatalogChange> catalog, IReadOnlyList<TableEntry> entries)
    {
        Sequence sequence = _state.LastSequence.Next;
        return _state.Apply(
            TableAt(_state.Position.NextNumber, sequence),
            new TableIndex([.. catalog.Select(change => new CatalogRecord(sequence, change.Encode()))], entries), StoreId);
    }

    // Stores a checkpoint and goes on with the state that is read back from it.
    public async Task ReopenAsync()
    {
        FrozenState frozen = Freeze();
        FoldedMap folded = await FoldAsync(frozen);
        ReadOnlyMemory<byte> root = Checkpoint.Encode(frozen, folded, Tables, _keys, _codec, new byte[32], 0);
        Install(frozen, folded);
        await _reader.DisposeAsync();
        _state = Checkpoint.Decode(root, frozen.Position, _keys, _codec);
        (_reader, _folder) = Attach();

        // As a new writer does, whose objects have names of their own.
        _state.EndEpoch(StoreId);
    }

    // Live bytes of every object by looking at every stored page that any of the maps has.
    public async Task<Dictionary<int, long>> RecountAsync(IEnumerable<CommittedMap>? maps = null)
    {
        var live = new Dictionary<int, long>();
        foreach (StoredPage stored in (maps ?? [Map]).SelectMany(map => map.StoredPages()).Select(slot => slot.Base!.Stored!).Distinct())
        {
            live[stored.Place.Table] = live.GetValueOrDefault(stored.Place.Table) + stored.Place.PlainBytes;
            MapPage page = await Pages.LoadAsync(stored, TestContext.Current.CancellationToken);
            foreach (MapPiece piece in page.Pieces.ToArray())
                live[piece.Fragment.Table] = live.GetValueOrDefault(piece.Fragment.Table) + piece.Length;
        }

        return live;
    }

    private (FrameReader Reader, MapFolder Folder) Attach()
    {
        var patient = new RetryingObjectStore(
            Objects, RetryPolicy.ForUploads, new StoreHealth(TimeProvider.System, NullLoggerFactory.Instance),
            TimeProvider.System, new Random(1));
        var memory = new FrameMemoryCache(0);
        var reader = new FrameReader(
            patient, Tables, memory, null, _buffers, new PipelineMetrics(), new FrameReaderOptions());
        Pages.Attach(reader, memory, _pageBudgetBytes);
        return (reader, new MapFolder(
            Tables, _keys, _codec, patient, new SystemEntropy(), TimeProvider.System, _buffers, null));
    }

    private static TableInfo TableAt(ChainPosition at, Sequence sequence) => new()
    {
        Epoch = at.Epoch,
        Number = at.Number,
        Salt = new byte[32],
        Key = new byte[32],
        ObjectBytes = 1,
        FirstSequence = sequence,
        LastSequence = sequence,
        ObjectKey = "t",
    };

    private ExportInfo InfoOf(ExportId id) => new(id, $"disk-{id}", _size, 16 * 1024, DurabilityLevel.Journaled);
}
