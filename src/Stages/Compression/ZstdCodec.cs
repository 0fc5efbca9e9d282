using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Compression;

/// <summary>Picks the zstd implementation of this process; docs/decisions/0003-zstd-codec.md says why.</summary>
public static class ZstdCodec
{
    /// <summary>
    /// The system's libzstd where it loads, else the managed port. <see cref="IChunkCodec.Description"/> says which.
    /// </summary>
    public static IChunkCodec Create() =>
        NativeZstdCodec.IsAvailable ? new NativeZstdCodec() : new ManagedZstdCodec();

    /// <summary>
    /// Most bytes that a compressed form of <paramref name="plain"/> bytes may take and still be worth storing: below
    /// a sixteenth of saving, the time to decompress on every read costs more than the space is worth.
    /// </summary>
    internal static int WorthwhileBytes(int plain) => plain - Math.Max(1, plain / 16);

    internal static StorageFaultException CorruptFrame(int compressedBytes, int plainBytes, string reason) =>
        StorageFaultException.Corrupt(
            $"A compressed frame of {compressedBytes} bytes does not decode to {plainBytes} bytes: {reason}.");
}
