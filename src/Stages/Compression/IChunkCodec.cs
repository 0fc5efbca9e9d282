namespace ZeroFlow.Stages.Compression;

public interface IChunkCodec
{
    int TryCompress(ReadOnlySpan<byte> plain, Span<byte> destination, int level);

    void Decompress(ReadOnlySpan<byte> compressed, Span<byte> plain);
}
