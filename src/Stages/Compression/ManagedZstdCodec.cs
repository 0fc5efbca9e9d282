using ZstdSharp;

namespace ZeroFlow.Stages.Compression;

/// <summary>zstd by ZstdSharp.Port, a translation of the C library: needs nothing of the system.</summary>
internal sealed class ManagedZstdCodec : IChunkCodec
{
    private readonly ContextPool<Compressor> _compressors =
        new(static () => new Compressor(), 2 * Environment.ProcessorCount);

    private readonly ContextPool<Decompressor> _decompressors =
        new(static () => new Decompressor(), 2 * Environment.ProcessorCount);

    /// <inheritdoc/>
    public string Description { get; } =
        "ZstdSharp.Port " + (typeof(Compressor).Assembly.GetName().Version?.ToString(3) ?? "of unknown version");

    /// <inheritdoc/>
    public int MaxCompressedBytes(int plain) => Compressor.GetCompressBound(plain);

    /// <inheritdoc/>
    public int TryCompress(ReadOnlySpan<byte> plain, Span<byte> destination, int level)
    {
        int room = Math.Min(destination.Length, ZstdCodec.WorthwhileBytes(plain.Length));
        if (room <= 0) return 0;
        Compressor context = _compressors.Rent();
        try
        {
            if (context.Level != level) context.Level = level;
            return context.TryWrap(plain, destination[..room], out int written) ? written : 0;
        }
        finally
        {
            _compressors.Return(context);
        }
    }

    /// <inheritdoc/>
    public void Decompress(ReadOnlySpan<byte> compressed, Span<byte> plain)
    {
        Decompressor context = _decompressors.Rent();
        int written;
        try
        {
            if (!context.TryUnwrap(compressed, plain, out written))
                throw ZstdCodec.CorruptFrame(compressed.Length, plain.Length, "it holds more");
        }
        catch (ZstdException fault)
        {
            throw ZstdCodec.CorruptFrame(compressed.Length, plain.Length, fault.Message);
        }
        finally
        {
            _decompressors.Return(context);
        }

        if (written != plain.Length)
            throw ZstdCodec.CorruptFrame(compressed.Length, plain.Length, $"it holds only {written}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _compressors.Dispose();
        _decompressors.Dispose();
    }
}
