namespace ZeroFlow.Stages.Compression;

/// <summary>
/// Compresses chunks to single zstd frames and back. Thread-safe: contexts are pooled inside, one per concurrent call.
/// </summary>
/// <remarks>Every implementation reads what every other one wrote: which one runs is no part of the format.</remarks>
public interface IChunkCodec : IDisposable
{
    /// <summary>Name and version of the library that does the work, for the log.</summary>
    string Description { get; }

    /// <summary>Most bytes that <see cref="TryCompress"/> can make of <paramref name="plain"/> bytes.</summary>
    int MaxCompressedBytes(int plain);

    /// <summary>Compresses <paramref name="plain"/> into the front of <paramref name="destination"/>.</summary>
    /// <param name="plain">The bytes to compress.</param>
    /// <param name="destination">Where they go; <see cref="MaxCompressedBytes"/> bytes always suffice.</param>
    /// <param name="level">zstd level, 1 or more for the usual ones; negative levels are faster and weaker.</param>
    /// <returns>
    /// The compressed length, or zero when compressing saves less than a sixteenth or the result does not fit: then
    /// the bytes are to be stored as they are, and the content of <paramref name="destination"/> means nothing.
    /// </returns>
    int TryCompress(ReadOnlySpan<byte> plain, Span<byte> destination, int level);

    /// <summary>
    /// Decompresses one zstd frame, which must yield exactly <paramref name="plain"/>.Length bytes.
    /// </summary>
    /// <exception cref="Pipeline.Faults.StorageFaultException">
    /// The input is no intact frame of that content length (kind Corrupt); the content of <paramref name="plain"/>
    /// means nothing.
    /// </exception>
    /// <remarks>
    /// Frames carry no checksum of their own, because the seal around them authenticates every byte: flipped bits
    /// that still decode are found there, not here.
    /// </remarks>
    void Decompress(ReadOnlySpan<byte> compressed, Span<byte> plain);
}
