using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Reading;

/// <summary>How the stored bytes of a frame are encoded. The values are part of the format.</summary>
public enum FrameEncoding : byte
{
    /// <summary>The plain bytes, sealed.</summary>
    Raw = 0,

    /// <summary>One zstd frame, sealed.</summary>
    Zstd = 1,
}

/// <summary>The name of a frame in this process: immutable bytes, so whatever is cached under it is never stale.</summary>
/// <param name="Table">Ordinal of the table in the table registry.</param>
/// <param name="Frame">Number of the frame within its table.</param>
public readonly record struct FrameKey(int Table, int Frame);

/// <summary>Everything needed to fetch, open and place one frame.</summary>
/// <param name="Key">The frame's name.</param>
/// <param name="ObjectOffset">Where its sealed bytes begin within the table object.</param>
/// <param name="SealedBytes">Length of the sealed bytes, authentication tag included.</param>
/// <param name="Encoding">How the plain bytes are encoded.</param>
/// <param name="Export">The export that it was written for: part of what the seal authenticates.</param>
/// <param name="ExportOffset">First byte that it covers in that export.</param>
/// <param name="PlainBytes">Bytes that it covers.</param>
public readonly record struct FrameRef(
    FrameKey Key,
    long ObjectOffset,
    int SealedBytes,
    FrameEncoding Encoding,
    ExportId Export,
    long ExportOffset,
    int PlainBytes);

/// <summary>Turns sealed frames back into plain bytes. Thread-safe.</summary>
public interface IFrameOpener
{
    /// <summary>
    /// Authenticates and decodes <paramref name="sealedBytes"/> into <paramref name="plain"/>, whose length is
    /// <see cref="FrameRef.PlainBytes"/>.
    /// </summary>
    /// <exception cref="Pipeline.Faults.StorageFaultException">The bytes are not what was sealed (kind Corrupt).</exception>
    void Open(in FrameRef frame, ReadOnlySpan<byte> sealedBytes, Span<byte> plain);

    /// <summary>Key of the object that holds the table with this ordinal.</summary>
    string ObjectKeyOf(int table);
}
