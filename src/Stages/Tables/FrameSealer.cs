using System.Buffers.Binary;
using System.Security.Cryptography;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tables;

/// <summary>
/// Seals and opens the parts of one table under its own key. Not thread-safe: the cipher behind it crashes the process
/// when two threads share it.
/// </summary>
/// <remarks>
/// A frame's associated data is its whole address: store, epoch, table, frame, export, offset, length and encoding.
/// So a frame that is moved, swapped or replayed fails to open. The nonce is the frame's number; the index has the
/// number that no frame can have.
/// </remarks>
internal sealed class FrameSealer : IDisposable
{
    public const int TagBytes = 16;

    private const uint IndexNonce = uint.MaxValue;
    private const int AddressBytes = 16 + 4 + 8 + 4 + 4 + 8 + 4 + 1;

    private readonly ChaCha20Poly1305 _cipher;
    private readonly Guid _storeId;
    private readonly uint _epoch;
    private readonly ulong _number;

    public FrameSealer(byte[] tableKey, Guid storeId, uint epoch, ulong number)
    {
        _cipher = new ChaCha20Poly1305(tableKey);
        _storeId = storeId;
        _epoch = epoch;
        _number = number;
    }

    public void Dispose() => _cipher.Dispose();

    /// <summary>Encrypts in place: <paramref name="frame"/> is the encoded bytes with room for the tag behind them.</summary>
    public void Seal(int frameNumber, in TableEntry entry, Span<byte> frame)
    {
        Span<byte> nonce = stackalloc byte[12], address = stackalloc byte[AddressBytes];
        WriteNonce(nonce, (uint)frameNumber);
        WriteAddress(address, frameNumber, entry.Export, entry.Offset, (int)entry.Length, entry.Encoding);
        Span<byte> body = frame[..^TagBytes];
        _cipher.Encrypt(nonce, body, body, frame[^TagBytes..], address);
    }

    /// <summary>Opens a frame into <paramref name="encoded"/>, which is the sealed length less the tag.</summary>
    /// <exception cref="AuthenticationTagMismatchException">The bytes are not what was sealed there.</exception>
    public void Open(in FrameRef frame, ReadOnlySpan<byte> sealedBytes, Span<byte> encoded)
    {
        Span<byte> nonce = stackalloc byte[12], address = stackalloc byte[AddressBytes];
        WriteNonce(nonce, (uint)frame.Key.Frame);
        WriteAddress(address, frame.Key.Frame, frame.Export, frame.ExportOffset, frame.PlainBytes, frame.Encoding);
        _cipher.Decrypt(nonce, sealedBytes[..^TagBytes], sealedBytes[^TagBytes..], encoded, address);
    }

    public void SealIndex(Span<byte> index, ReadOnlySpan<byte> footer)
    {
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, IndexNonce);
        Span<byte> body = index[..^TagBytes];
        _cipher.Encrypt(nonce, body, body, index[^TagBytes..], footer[..TableFooter.AuthenticatedBytes]);
    }

    public void OpenIndex(ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> footer, Span<byte> encoded)
    {
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, IndexNonce);
        _cipher.Decrypt(
            nonce, sealedBytes[..^TagBytes], sealedBytes[^TagBytes..], encoded, footer[..TableFooter.AuthenticatedBytes]);
    }

    private static void WriteNonce(Span<byte> nonce, uint number)
    {
        nonce.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(nonce, number);
    }

    private void WriteAddress(
        Span<byte> target, int frameNumber, ExportId export, long offset, int length, FrameEncoding encoding)
    {
        _storeId.TryWriteBytes(target);
        BinaryPrimitives.WriteUInt32LittleEndian(target[16..], _epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[20..], _number);
        BinaryPrimitives.WriteInt32LittleEndian(target[28..], frameNumber);
        BinaryPrimitives.WriteUInt32LittleEndian(target[32..], export.Value);
        BinaryPrimitives.WriteInt64LittleEndian(target[36..], offset);
        BinaryPrimitives.WriteInt32LittleEndian(target[44..], length);
        target[48] = (byte)encoding;
    }
}
