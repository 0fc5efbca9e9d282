using System.Buffers.Binary;
using System.Security.Cryptography;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// The body of a checkpoint: compressed and sealed blocks behind an identity. Each block is bound to the identity, its
/// number and whether it is the last, so that none can be dropped, moved or exchanged.
/// </summary>
internal sealed class SealedBlockWriter : IDisposable
{
    public const int BlockBytes = 1024 * 1024;

    // Blocks of their own size, put together once at the end: a buffer that doubles would need several times the object.
    private readonly List<byte[]> _output = [];
    private readonly byte[] _block = new byte[BlockBytes];
    private readonly byte[] _encoded = new byte[BlockBytes + FrameSealer.TagBytes];
    private readonly ChaCha20Poly1305 _cipher;
    private readonly IChunkCodec _codec;
    private readonly byte[] _identity = new byte[TableIdentity.Bytes];
    private int _filled;
    private uint _number;

    public SealedBlockWriter(byte[] key, TableIdentity identity, IChunkCodec codec)
    {
        _cipher = new ChaCha20Poly1305(key);
        _codec = codec;
        identity.Write(_identity);
        _output.Add(_identity);
    }

    public void Dispose() => _cipher.Dispose();

    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            if (_filled == BlockBytes) Emit(isLast: false);
            int part = Math.Min(bytes.Length, BlockBytes - _filled);
            bytes[..part].CopyTo(_block.AsSpan(_filled));
            _filled += part;
            bytes = bytes[part..];
        }
    }

    public void WriteUInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Write(bytes);
    }

    public void WriteUInt64(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Write(bytes);
    }

    public void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        WriteUInt32((uint)bytes.Length);
        Write(bytes);
    }

    /// <summary>Ends the body and returns the whole object.</summary>
    public ReadOnlyMemory<byte> Finish()
    {
        Emit(isLast: true);
        byte[] whole = new byte[checked((int)_output.Sum(part => (long)part.Length))];
        int at = 0;
        foreach (byte[] part in _output)
        {
            part.CopyTo(whole, at);
            at += part.Length;
        }

        _output.Clear();
        return whole;
    }

    private void Emit(bool isLast)
    {
        ReadOnlySpan<byte> plain = _block.AsSpan(0, _filled);
        int length = _codec.TryCompress(plain, _encoded.AsSpan(0, BlockBytes), 1);
        bool compressed = length > 0;
        if (!compressed)
        {
            plain.CopyTo(_encoded);
            length = plain.Length;
        }

        Span<byte> head = stackalloc byte[SealedBlock.HeadBytes];
        SealedBlock.WriteHead(head, plain.Length, length, compressed, isLast);
        Span<byte> nonce = stackalloc byte[12];
        nonce.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(nonce, _number);
        Span<byte> body = _encoded.AsSpan(0, length);
        Span<byte> bound = stackalloc byte[TableIdentity.Bytes + SealedBlock.HeadBytes];
        _identity.CopyTo(bound);
        head.CopyTo(bound[TableIdentity.Bytes..]);
        _cipher.Encrypt(nonce, body, body, _encoded.AsSpan(length, FrameSealer.TagBytes), bound);
        byte[] sealedBlock = new byte[head.Length + length + FrameSealer.TagBytes];
        head.CopyTo(sealedBlock);
        _encoded.AsSpan(0, length + FrameSealer.TagBytes).CopyTo(sealedBlock.AsSpan(head.Length));
        _output.Add(sealedBlock);
        _number++;
        _filled = 0;
    }
}

/// <summary>Reads what <see cref="SealedBlockWriter"/> wrote, authenticating each block before any of it is used.</summary>
internal sealed class SealedBlockReader : IDisposable
{
    private readonly ChaCha20Poly1305 _cipher;
    private readonly IChunkCodec _codec;
    private readonly ReadOnlyMemory<byte> _identity;
    private readonly string _name;
    private ReadOnlyMemory<byte> _rest;
    private byte[] _block = [];
    private int _used;
    private uint _number;
    private bool _ended;

    public SealedBlockReader(byte[] key, ReadOnlyMemory<byte> whole, IChunkCodec codec, string name)
    {
        _cipher = new ChaCha20Poly1305(key);
        _codec = codec;
        _identity = whole[..TableIdentity.Bytes];
        _rest = whole[TableIdentity.Bytes..];
        _name = name;
    }

    public void Dispose() => _cipher.Dispose();

    public void Read(Span<byte> target)
    {
        while (!target.IsEmpty)
        {
            if (_used == _block.Length) NextBlock();
            int part = Math.Min(target.Length, _block.Length - _used);
            _block.AsSpan(_used, part).CopyTo(target);
            _used += part;
            target = target[part..];
        }
    }

    public uint ReadUInt32()
    {
        Span<byte> bytes = stackalloc byte[4];
        Read(bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    public ulong ReadUInt64()
    {
        Span<byte> bytes = stackalloc byte[8];
        Read(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }

    public byte[] ReadBytes(int lengthMax)
    {
        uint length = ReadUInt32();
        if (length > lengthMax) throw Damaged();
        byte[] bytes = new byte[length];
        Read(bytes);
        return bytes;
    }

    /// <summary>Demands that the body ends here, with its last block.</summary>
    public void ExpectEnd()
    {
        if (!_ended || _used != _block.Length || !_rest.IsEmpty) throw Damaged();
    }

    public StorageFaultException Damaged(Exception? cause = null) =>
        StorageFaultException.Corrupt($"The checkpoint {_name} is truncated or was altered.", cause);

    private void NextBlock()
    {
        if (_ended || _rest.Length < SealedBlock.HeadBytes) throw Damaged();
        ReadOnlySpan<byte> head = _rest.Span[..SealedBlock.HeadBytes];
        SealedBlock.ReadHead(head, out int plainBytes, out int length, out bool compressed, out bool isLast);
        int sealedBytes = length + FrameSealer.TagBytes;
        if (plainBytes is < 0 or > SealedBlockWriter.BlockBytes || length is < 0 or > SealedBlockWriter.BlockBytes ||
            (!compressed && length != plainBytes) || _rest.Length - SealedBlock.HeadBytes < sealedBytes)
            throw Damaged();
        ReadOnlySpan<byte> body = _rest.Span.Slice(SealedBlock.HeadBytes, sealedBytes);
        Span<byte> nonce = stackalloc byte[12];
        nonce.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(nonce, _number++);
        Span<byte> bound = stackalloc byte[TableIdentity.Bytes + SealedBlock.HeadBytes];
        _identity.Span.CopyTo(bound);
        head.CopyTo(bound[TableIdentity.Bytes..]);
        byte[] encoded = new byte[length];
        try
        {
            _cipher.Decrypt(nonce, body[..length], body[length..], encoded, bound);
        }
        catch (AuthenticationTagMismatchException altered)
        {
            throw Damaged(altered);
        }

        _block = encoded;
        if (compressed)
        {
            _block = new byte[plainBytes];
            _codec.Decompress(encoded, _block);
        }

        _used = 0;
        _ended = isLast;
        _rest = _rest[(SealedBlock.HeadBytes + sealedBytes)..];
    }
}

/// <summary>The 12 bytes in front of each sealed block.</summary>
internal static class SealedBlock
{
    public const int HeadBytes = 12;

    public static void WriteHead(Span<byte> head, int plainBytes, int encodedBytes, bool compressed, bool isLast)
    {
        BinaryPrimitives.WriteInt32LittleEndian(head, plainBytes);
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], encodedBytes);
        BinaryPrimitives.WriteInt32LittleEndian(head[8..], (compressed ? 1 : 0) | (isLast ? 2 : 0));
    }

    public static void ReadHead(
        ReadOnlySpan<byte> head, out int plainBytes, out int encodedBytes, out bool compressed, out bool isLast)
    {
        plainBytes = BinaryPrimitives.ReadInt32LittleEndian(head);
        encodedBytes = BinaryPrimitives.ReadInt32LittleEndian(head[4..]);
        int flags = BinaryPrimitives.ReadInt32LittleEndian(head[8..]);
        compressed = (flags & 1) != 0;
        isLast = (flags & 2) != 0;
    }
}
