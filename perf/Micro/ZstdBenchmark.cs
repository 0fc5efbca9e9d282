using BenchmarkDotNet.Attributes;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Compression;

namespace ZeroFlow.Micro;

/// <summary>One chunk through zstd at the default level, of data that compresses two to one.</summary>
public class ZstdBenchmark
{
    private readonly IChunkCodec _codec = ZstdCodec.Create();
    private readonly int _level = new StoreOptions().CompressionLevel;
    private byte[] _plain = [];
    private byte[] _room = [];
    private byte[] _compressed = [];

    [Params(8192, 128 * 1024)]
    public int ChunkBytes { get; set; }

    [GlobalSetup]
    public void Prepare()
    {
        // Every 4 KiB half noise, half zeros: as the load tool writes.
        _plain = new byte[ChunkBytes];
        var random = new Random(1);
        for (var at = 0; at < ChunkBytes; at += 4096) random.NextBytes(_plain.AsSpan(at, 2048));
        _room = new byte[_codec.MaxCompressedBytes(ChunkBytes)];
        _compressed = [.. _room.Take(_codec.TryCompress(_plain, _room, _level))];
    }

    [GlobalCleanup]
    public void Dispose() => _codec.Dispose();

    [Benchmark]
    public int Compress() => _codec.TryCompress(_plain, _room, _level);

    [Benchmark]
    public void Decompress() => _codec.Decompress(_compressed, _plain);
}
