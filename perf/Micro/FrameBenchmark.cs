using BenchmarkDotNet.Attributes;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Micro;

/// <summary>Sealing and opening one frame of a table, ChaCha20-Poly1305 under the table's key.</summary>
public class FrameBenchmark
{
    private readonly FrameSealer _sealer = new(new byte[32], Guid.NewGuid(), 1, 1);
    private byte[] _frame = [];
    private byte[] _sealed = [];
    private byte[] _opened = [];
    private TableEntry _entry;
    private FrameRef _place;

    [Params(4096, 128 * 1024)]
    public int FrameBytes { get; set; }

    [GlobalSetup]
    public void Prepare()
    {
        _frame = new byte[FrameBytes + FrameSealer.TagBytes];
        _opened = new byte[FrameBytes];
        new Random(1).NextBytes(_frame);
        var export = new ExportId(1);
        _entry = new TableEntry(TableEntryKind.Frame, FrameEncoding.Raw, export, 0, FrameBytes, _frame.Length);
        _place = new FrameRef(new FrameKey(1, 3), 0, _frame.Length, FrameEncoding.Raw, export, 0, FrameBytes);
        _sealed = [.. _frame];
        _sealer.Seal(3, _entry, _sealed);
    }

    [GlobalCleanup]
    public void Dispose() => _sealer.Dispose();

    [Benchmark]
    public void Seal() => _sealer.Seal(3, _entry, _frame);

    [Benchmark]
    public void Open() => _sealer.Open(_place, _sealed, _opened);
}
