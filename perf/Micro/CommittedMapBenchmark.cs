using BenchmarkDotNet.Attributes;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Micro;

/// <summary>
/// Look-ups of random 8 KiB in the committed map, in its layer of changes since the last checkpoint. Stored pages are
/// read like frames: their cost is that of the memory cache.
/// </summary>
public class CommittedMapBenchmark
{
    private const int BlockBytes = 8192;
    private const int Batch = 1024;
    private const int TableFrames = 1024;

    private readonly List<CommittedHit> _hits = [];
    private CommittedMap _map = null!;
    private long[] _offsets = [];
    private int _at;

    /// <summary>Blocks that were committed one by one, in random order.</summary>
    [Params(10_000, 500_000)]
    public int Blocks { get; set; }

    [GlobalSetup]
    public void Commit()
    {
        var export = new ExportId(7);
        var size = (long)Blocks * BlockBytes;
        var store = Guid.NewGuid();
        var state = new StoreState(store, ZstdCodec.Create());
        state.Restore(new ChainPosition(1, 0), store, default, export);
        _map = state.AddExport(
            new ExportInfo(export, "disk", size, 16 * 1024, DurabilityLevel.Journaled),
            new CommittedMap(state.Tables, state.Pages, export, size)).Map;

        var blocks = Enumerable.Range(0, Blocks).ToArray();
        new Random(1).Shuffle(blocks);
        var table = 0;
        foreach (var (at, block) in blocks.Index())
        {
            if (at % TableFrames == 0) table = state.Tables.Add(TableAt((ulong)(at / TableFrames) + 1));
            var entry = new TableEntry(
                TableEntryKind.Frame, FrameEncoding.Zstd, export, (long)block * BlockBytes, BlockBytes, 4096);
            var frame = new TableFrame(at % TableFrames, (at % TableFrames) * 4096L, entry);
            _map.Apply(frame, entry.Range, table, new ChainPosition(1, 0));
        }

        _offsets = [.. blocks.Take(1 << 16).Select(block => (long)block * BlockBytes)];
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public int Lookup()
    {
        var found = 0;
        for (var round = 0; round < Batch; round++)
        {
            _hits.Clear();
            _map.TryCollect(new BlockRange(_offsets[++_at % _offsets.Length], BlockBytes), _hits);
            found += _hits.Count;
        }

        return found;
    }

    private static TableInfo TableAt(ulong number) => new()
    {
        Epoch = 1,
        Number = number,
        Salt = new byte[32],
        Key = new byte[32],
        ObjectBytes = TableFrames * 4096,
        FirstSequence = default,
        LastSequence = default,
        ObjectKey = "t",
    };
}
