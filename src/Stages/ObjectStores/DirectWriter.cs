using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Writes the whole blocks of large files past the page cache, where the file system lets it. Thread-safe.
/// </summary>
/// <remarks>
/// A table is written once and hardly ever read from here, and copying it into the page cache costs more than compressing it:
/// pages are found, charged, and written back later all the same. The copy into one small buffer that stays in the
/// processor's cache, which direct writes need for their alignment, costs next to nothing.
/// </remarks>
internal sealed class DirectWriter
{
    /// <summary>Below this the write that goes with it is most of the cost anyhow.</summary>
    public const int BytesMin = 256 * 1024;

    // What file systems ask of address, offset and length: the block of the disk, at most a page.
    private const int BlockBytes = 4096;
    private const int StageBytes = 1024 * 1024;

    private readonly ConcurrentBag<byte[]> _stages = [];
    private readonly Func<string, SafeFileHandle?> _open;

    /// <summary>Makes a writer.</summary>
    /// <param name="open">Opens a file for direct writing, or answers null; O_DIRECT when absent.</param>
    public DirectWriter(Func<string, SafeFileHandle?>? open = null) => _open = open ?? PosixFiles.TryOpenDirect;

    /// <summary>Writes the beginning of <paramref name="bytes"/> to the beginning of a file that is there.</summary>
    /// <returns>
    /// How many bytes are written; the rest, which is all of them where there are no direct writes or where they fail, is the
    /// caller's. Nothing is durable before the caller syncs.
    /// </returns>
    public int Write(string path, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < BytesMin) return 0;
        using SafeFileHandle? file = _open(path);
        if (file is null) return 0;
        if (!_stages.TryTake(out byte[]? array))
            array = GC.AllocateUninitializedArray<byte>(StageBytes + BlockBytes, pinned: true);
        int misaligned = (int)(Marshal.UnsafeAddrOfPinnedArrayElement(array, 0) & (BlockBytes - 1));
        Span<byte> stage = array.AsSpan(BlockBytes - misaligned, StageBytes);
        int whole = bytes.Length / BlockBytes * BlockBytes;
        int written = 0;
        try
        {
            while (written < whole)
            {
                ReadOnlySpan<byte> part = bytes[written..Math.Min(whole, written + StageBytes)];
                part.CopyTo(stage);
                RandomAccess.Write(file, stage[..part.Length], written);
                written += part.Length;
            }
        }
        catch (IOException)
        {
            // Whether the disk is to blame or a rule of this file system shows in the caller's own write.
        }

        _stages.Add(array);
        return written;
    }
}
