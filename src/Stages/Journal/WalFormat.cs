using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// The bytes of a WAL record: header, sealed payload, tag. Layout: docs/formats.md.
/// </summary>
internal static class WalRecordFormat
{
    public const int HeaderBytes = 64;
    public const int TagBytes = 16;
    public const uint Magic = 0x5257_465A; // "ZFWR"

    private const byte Version = 1;
    private const int ChecksumAt = 60;

    /// <summary>Bytes of a record with <paramref name="payloadBytes"/> of payload.</summary>
    public static int Bytes(int payloadBytes) => HeaderBytes + payloadBytes + TagBytes;

    /// <summary>Writes and seals a record into <paramref name="target"/>.</summary>
    public static void Seal(
        ChaCha20Poly1305 cipher, in WalRecordHeader header, ulong sessionCheck, Sequence syncedThrough,
        ReadOnlySpan<byte> payload, Span<byte> target)
    {
        Span<byte> head = target[..HeaderBytes];
        head.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(head, Magic);
        head[4] = Version;
        head[5] = (byte)header.Kind;
        BinaryPrimitives.WriteInt32LittleEndian(head[8..], payload.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[12..], header.Export.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(head[16..], header.Sequence.Value);
        BinaryPrimitives.WriteInt64LittleEndian(head[24..], header.Offset);
        BinaryPrimitives.WriteInt64LittleEndian(head[32..], header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(head[40..], sessionCheck);
        BinaryPrimitives.WriteUInt64LittleEndian(head[48..], syncedThrough.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(head[ChecksumAt..], TableIdentity.Checksum(head[..ChecksumAt]));
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, header.Sequence);
        Span<byte> body = target.Slice(HeaderBytes, payload.Length);
        cipher.Encrypt(nonce, payload, body, target.Slice(HeaderBytes + payload.Length, TagBytes), head);
    }

    /// <summary>Reads a header; false when the bytes are not one, or are damaged.</summary>
    public static bool TryReadHeader(
        ReadOnlySpan<byte> source, out WalRecordHeader header, out int payloadBytes, out ulong sessionCheck,
        out Sequence syncedThrough)
    {
        header = default;
        payloadBytes = 0;
        sessionCheck = 0;
        syncedThrough = default;
        if (source.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(source) != Magic || source[4] != Version ||
            BinaryPrimitives.ReadUInt32LittleEndian(source[ChecksumAt..]) != TableIdentity.Checksum(source[..ChecksumAt]))
            return false;
        payloadBytes = BinaryPrimitives.ReadInt32LittleEndian(source[8..]);
        sessionCheck = BinaryPrimitives.ReadUInt64LittleEndian(source[40..]);
        syncedThrough = new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[48..]));
        header = new WalRecordHeader(
            new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[16..])),
            (WalRecordKind)source[5],
            new ExportId(BinaryPrimitives.ReadUInt32LittleEndian(source[12..])),
            BinaryPrimitives.ReadInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[32..]));
        return true;
    }

    /// <summary>Opens a whole record into <paramref name="payload"/>; false when it is not what was sealed.</summary>
    public static bool TryOpen(
        ChaCha20Poly1305 cipher, Sequence sequence, ReadOnlySpan<byte> record, Span<byte> payload)
    {
        Span<byte> nonce = stackalloc byte[12];
        WriteNonce(nonce, sequence);
        try
        {
            cipher.Decrypt(
                nonce, record.Slice(HeaderBytes, payload.Length), record.Slice(HeaderBytes + payload.Length, TagBytes), payload,
                record[..HeaderBytes]);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    private static void WriteNonce(Span<byte> nonce, Sequence sequence)
    {
        nonce.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(nonce, sequence.Value);
    }
}

/// <summary>The first record of a segment: whose it is, what it continues, and the salt of its key.</summary>
internal sealed record WalSegmentHeader(
    Guid StoreId, uint Epoch, Guid Session, int Ordinal, Sequence FirstSequence, Sequence SyncedThrough,
    ulong ChainNumber, int PageBytes, byte[] Salt)
{
    public const int Bytes = 176;
    public const int SaltBytes = 32;

    private const ulong Magic = 0x3147_4553_4C41_575A; // "ZWALSEG1"
    private const ushort VersionNow = 1;
    private const int MacAt = Bytes - HMACSHA256.HashSizeInBytes;

    public ulong SessionCheck => MemoryMarshal.Read<ulong>(Session.ToByteArray());

    public byte[] KeyFrom(byte[] rootKey) => Derive(rootKey, Salt, "zeroflow wal v1");

    public void Write(byte[] rootKey, Span<byte> target)
    {
        target = target[..Bytes];
        target.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], VersionNow);
        BinaryPrimitives.WriteInt32LittleEndian(target[12..], Ordinal);
        StoreId.TryWriteBytes(target[16..]);
        Session.TryWriteBytes(target[32..]);
        BinaryPrimitives.WriteUInt32LittleEndian(target[48..], Epoch);
        BinaryPrimitives.WriteInt32LittleEndian(target[52..], PageBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[56..], ChainNumber);
        BinaryPrimitives.WriteUInt64LittleEndian(target[64..], FirstSequence.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[72..], SyncedThrough.Value);
        Salt.CopyTo(target[80..]);
        HMACSHA256.HashData(MacKey(rootKey), target[..MacAt], target[MacAt..]);
    }

    public static ParseResult TryRead(byte[] rootKey, ReadOnlySpan<byte> source, out WalSegmentHeader? header)
    {
        header = null;
        if (source.Length < Bytes || BinaryPrimitives.ReadUInt64LittleEndian(source) != Magic) return ParseResult.Foreign;
        if (BinaryPrimitives.ReadUInt16LittleEndian(source[8..]) > VersionNow) return ParseResult.Newer;
        Span<byte> mac = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(MacKey(rootKey), source[..MacAt], mac);
        if (!CryptographicOperations.FixedTimeEquals(mac, source[MacAt..Bytes])) return ParseResult.Damaged;
        header = new WalSegmentHeader(
            new Guid(source[16..32]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[48..]),
            new Guid(source[32..48]),
            BinaryPrimitives.ReadInt32LittleEndian(source[12..]),
            new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[64..])),
            new Sequence(BinaryPrimitives.ReadUInt64LittleEndian(source[72..])),
            BinaryPrimitives.ReadUInt64LittleEndian(source[56..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[52..]),
            source.Slice(80, SaltBytes).ToArray());
        return ParseResult.Ok;
    }

    private static byte[] MacKey(byte[] rootKey) => Derive(rootKey, [], "zeroflow wal segment mac v1");

    private static byte[] Derive(byte[] rootKey, byte[] salt, string purpose) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, rootKey, 32, salt, Encoding.ASCII.GetBytes(purpose));
}
