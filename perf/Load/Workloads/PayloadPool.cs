using System.Runtime.InteropServices;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// What writes write: native memory made once, in which every 4 KiB begins with random bytes and ends in zeros, in the
/// proportion that lets a compressor reach the wished ratio. Requests point into it at changing places, so that
/// successive writes differ and no payload costs the client a copy. Safe to read from several threads.
/// </summary>
internal sealed unsafe class PayloadPool : IDisposable
{
    public const int PieceBytes = 4096;

    // Small enough to stay in the last-level cache: what a client writes, it has just made.
    private const int PoolBytes = 4 * 1024 * 1024;

    private readonly byte* _bytes;

    /// <param name="ratio">Uncompressed to compressed size, at least 1: 2 makes half of each piece random.</param>
    /// <param name="seed">Same seed, same bytes.</param>
    public PayloadPool(double ratio, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ratio, 1);
        _bytes = (byte*)NativeMemory.AlignedAlloc(PoolBytes, PieceBytes);
        var random = new Random(seed);
        var randomBytes = (int)(PieceBytes / ratio);
        for (var piece = 0; piece < PoolBytes; piece += PieceBytes)
        {
            var span = new Span<byte>(_bytes + piece, PieceBytes);
            random.NextBytes(span[..randomBytes]);
            span[randomBytes..].Clear();
        }
    }

    public static int LengthMax => PoolBytes / 2;

    /// <summary>The n-th write's payload: <paramref name="length"/> bytes, valid as long as the pool.</summary>
    public byte* At(long ordinal, int length)
    {
        var places = ((PoolBytes - length) / PieceBytes) + 1;
        return _bytes + (ordinal % places * PieceBytes);
    }

    public void Dispose() => NativeMemory.AlignedFree(_bytes);
}
