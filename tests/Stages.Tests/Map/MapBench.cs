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
    private readonly FrameReader _reader;
    private readonly MapFolder _folder;
    private readonly MapPages _pages = new();
    private readonly long _size;
    private ulong _checkpoints;

    public MapBench(long size, long pageBudgetBytes)
    {
        _size = size;
        IChunkCodec codec = ZstdCodec.Create();
        var keys = new StoreKeys(StoreId, new byte[32]);
        Tables = new TableRegistry(StoreId, codec);
        Map = new CommittedMap(Tables, _pages, Export, size);
        var patient = new RetryingObjectStore(
            Objects, RetryPolicy.ForUploads, new StoreHealth(TimeProvider.System, NullLoggerFactory.Instance),
            TimeProvider.System, new Random(1));
        var memory = new FrameMemoryCache(0);
        _reader = new FrameReader(patient, Tables, memory, null, _buffers, new PipelineMetrics(), new FrameReaderOptions());
        _pages.Attach(_reader, memory, pageBudgetBytes);
        _folder = new MapFolder(
            Tables, keys, codec, patient, new SystemEntropy(), TimeProvider.System, _buffers, null);
    }

    public SimulatedObjectStore Objects { get; } = new(TimeProvider.System);

    public TableRegistry Tables { get; }

    public CommittedMap Map { get; }

    public MapPages Pages => _pages;

    public ValueTask DisposeAsync() => _reader.DisposeAsync();

    // The next table of the chain; what it says about the map is applied by the caller.
    public int AddTable(ulong number) => Tables.Add(new TableInfo
    {
        Epoch = 1,
        Number = number,
        Salt = new byte[32],
        Key = new byte[32],
        ObjectBytes = 1,
        FirstSequence = default,
        LastSequence = default,
        ObjectKey = "t",
    });

    public void Apply(in TableEntry entry, int table, int frame, ulong asOf = 0) =>
        Map.Apply(entry, table, frame, 128 + (frame * 100), new ChainPosition(1, asOf));

    public FrozenState Freeze() => new(
        new ChainPosition(1, ++_checkpoints), StoreId, default, Tables.LastOrdinal,
        [new FrozenExport(new ExportInfo(Export, "disk", _size, 16 * 1024, DurabilityLevel.Journaled), Map, Map.Freeze())]);

    public Task<FoldedMap> FoldAsync(FrozenState state) => _folder.FoldAsync(state, TestContext.Current.CancellationToken);

    public void Install(FoldedMap folded)
    {
        foreach (FoldedPage page in folded.Pages) page.Slot.Map.Install(page.Slot, page.Place, page.Resident);
        foreach (var (ordinal, bytes) in folded.Live) Tables[ordinal]!.AddLive(bytes);
    }

    public async Task CheckpointAsync() => Install(await FoldAsync(Freeze()));

    // Live bytes of every object by looking at every stored page.
    public async Task<Dictionary<int, long>> RecountAsync()
    {
        var live = new Dictionary<int, long>();
        foreach (MapSlot slot in Map.StoredPages())
        {
            live[slot.Base.Table] = live.GetValueOrDefault(slot.Base.Table) + slot.Base.PlainBytes;
            MapPage page = await _pages.LoadAsync(Export, slot.Start, slot.Base, TestContext.Current.CancellationToken);
            foreach (MapPiece piece in page.Pieces.ToArray())
                live[piece.Fragment.Table] = live.GetValueOrDefault(piece.Fragment.Table) + piece.Length;
        }

        return live;
    }
}
