using System.Runtime.InteropServices;

namespace ZeroFlow.Stages.Compression;

/// <summary>zstd by the system's <c>libzstd.so.1</c>.</summary>
internal sealed class NativeZstdCodec : IChunkCodec
{
    private static readonly Lazy<bool> Loads = new(
        () => NativeLibrary.TryLoad(LibZstd.Name, typeof(NativeZstdCodec).Assembly, null, out _));

    // Twice the cores: a compress stage and a read on every core keep their contexts.
    private readonly ContextPool<ZstdCompressContext> _compressors =
        new(ZstdCompressContext.Create, 2 * Environment.ProcessorCount);

    private readonly ContextPool<ZstdDecompressContext> _decompressors =
        new(ZstdDecompressContext.Create, 2 * Environment.ProcessorCount);

    /// <summary>Whether the library is there.</summary>
    public static bool IsAvailable => Loads.Value;

    /// <inheritdoc/>
    public string Description { get; } = "libzstd " + VersionOfLibrary();

    /// <inheritdoc/>
    public int MaxCompressedBytes(int plain) => checked((int)LibZstd.CompressBound((nuint)plain));

    /// <inheritdoc/>
    public unsafe int TryCompress(ReadOnlySpan<byte> plain, Span<byte> destination, int level)
    {
        // zstd gives up as soon as the room runs out, so the limit also saves time on data that does not shrink.
        int room = Math.Min(destination.Length, ZstdCodec.WorthwhileBytes(plain.Length));
        if (room <= 0) return 0;
        ZstdCompressContext context = _compressors.Rent();
        nuint result;
        fixed (byte* source = plain)
        fixed (byte* target = destination)
            result = LibZstd.Compress(context, target, (nuint)room, source, (nuint)plain.Length, level);

        _compressors.Return(context);
        return LibZstd.IsError(result) != 0 ? 0 : (int)result;
    }

    /// <inheritdoc/>
    public unsafe void Decompress(ReadOnlySpan<byte> compressed, Span<byte> plain)
    {
        ZstdDecompressContext context = _decompressors.Rent();
        nuint result;
        fixed (byte* source = compressed)
        fixed (byte* target = plain)
            result = LibZstd.Decompress(context, target, (nuint)plain.Length, source, (nuint)compressed.Length);

        _decompressors.Return(context);
        if (LibZstd.IsError(result) != 0)
        {
            string reason = Marshal.PtrToStringUTF8(LibZstd.ErrorName(result)) ?? "unknown error";
            throw ZstdCodec.CorruptFrame(compressed.Length, plain.Length, reason);
        }

        if (result != (nuint)plain.Length)
            throw ZstdCodec.CorruptFrame(compressed.Length, plain.Length, $"it holds only {result}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _compressors.Dispose();
        _decompressors.Dispose();
    }

    private static string VersionOfLibrary() => Marshal.PtrToStringUTF8(LibZstd.Version()) ?? "of unknown version";
}
