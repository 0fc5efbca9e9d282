using System.Runtime.InteropServices;

namespace ZeroFlow.Stages.Compression;

/// <summary>The few entry points of libzstd in use, from its stable API (zstd.h).</summary>
internal static unsafe partial class LibZstd
{
    /// <summary>The name by which the library's stable ABI is installed on Linux.</summary>
    public const string Name = "libzstd.so.1";

    [LibraryImport(Name, EntryPoint = "ZSTD_versionString")]
    public static partial nint Version();

    [LibraryImport(Name, EntryPoint = "ZSTD_compressBound")]
    public static partial nuint CompressBound(nuint sourceBytes);

    [LibraryImport(Name, EntryPoint = "ZSTD_isError")]
    public static partial uint IsError(nuint result);

    [LibraryImport(Name, EntryPoint = "ZSTD_getErrorName")]
    public static partial nint ErrorName(nuint result);

    [LibraryImport(Name, EntryPoint = "ZSTD_compressCCtx")]
    public static partial nuint Compress(
        ZstdCompressContext context, byte* target, nuint targetBytes, byte* source, nuint sourceBytes, int level);

    [LibraryImport(Name, EntryPoint = "ZSTD_decompressDCtx")]
    public static partial nuint Decompress(
        ZstdDecompressContext context, byte* target, nuint targetBytes, byte* source, nuint sourceBytes);

    [LibraryImport(Name, EntryPoint = "ZSTD_createCCtx")]
    public static partial nint CreateCompressContext();

    [LibraryImport(Name, EntryPoint = "ZSTD_freeCCtx")]
    public static partial nuint FreeCompressContext(nint context);

    [LibraryImport(Name, EntryPoint = "ZSTD_createDCtx")]
    public static partial nint CreateDecompressContext();

    [LibraryImport(Name, EntryPoint = "ZSTD_freeDCtx")]
    public static partial nuint FreeDecompressContext(nint context);
}

/// <summary>A <c>ZSTD_CCtx</c>: for one thread at a time.</summary>
internal sealed class ZstdCompressContext() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    public static ZstdCompressContext Create()
    {
        var context = new ZstdCompressContext();
        context.SetHandle(LibZstd.CreateCompressContext());
        if (context.IsInvalid) throw new InsufficientMemoryException("libzstd has no memory for a context.");
        return context;
    }

    protected override bool ReleaseHandle() => LibZstd.FreeCompressContext(handle) == 0;
}

/// <summary>A <c>ZSTD_DCtx</c>: for one thread at a time.</summary>
internal sealed class ZstdDecompressContext() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    public static ZstdDecompressContext Create()
    {
        var context = new ZstdDecompressContext();
        context.SetHandle(LibZstd.CreateDecompressContext());
        if (context.IsInvalid) throw new InsufficientMemoryException("libzstd has no memory for a context.");
        return context;
    }

    protected override bool ReleaseHandle() => LibZstd.FreeDecompressContext(handle) == 0;
}
