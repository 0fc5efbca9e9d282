using BenchmarkDotNet.Attributes;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Micro;

/// <summary>The extent map under memtables and change layers: random 8 KiB ranges that overwrite each other.</summary>
public class ExtentMapBenchmark
{
    private const int BlockBytes = 8192;
    private const int Batch = 1024;

    private readonly ExtentMap<Place> _map = new();
    private readonly List<Extent<Place>> _found = [];
    private long[] _offsets = [];
    private int _at;

    /// <summary>Extents in the map.</summary>
    [Params(1_000, 100_000)]
    public int Extents { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        var random = new Random(1);
        _offsets = [.. Enumerable.Range(0, 1 << 16).Select(_ => random.NextInt64(Extents) * BlockBytes)];
        for (var block = 0L; block < Extents; block++)
            _map.Set(new BlockRange(block * BlockBytes, BlockBytes), new Place(block));
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public void Set()
    {
        for (var round = 0; round < Batch; round++)
            _map.Set(new BlockRange(Next(), BlockBytes), new Place(round));
    }

    [Benchmark(OperationsPerInvoke = Batch)]
    public int Collect()
    {
        var found = 0;
        for (var round = 0; round < Batch; round++)
        {
            _found.Clear();
            _map.Collect(new BlockRange(Next(), BlockBytes), _found);
            found += _found.Count;
        }

        return found;
    }

    private long Next() => _offsets[++_at & (_offsets.Length - 1)];

    private readonly record struct Place(long Number) : IExtentValue<Place>
    {
        public Place Skip(long bytes) => new(Number + bytes);
    }
}
