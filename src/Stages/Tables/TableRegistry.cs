using System.Security.Cryptography;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tables;

/// <summary>
/// Gives committed tables short ordinals, counted from one, that the map uses in place of their names, and opens their
/// frames. Readers take no lock; additions come from the commit stage, removals
/// from the checkpointer.
/// </summary>
internal sealed class TableRegistry : IFrameOpener
{
    // Ordinals are given once and never again, for years: blocks whose tables are all gone take no memory.
    private const int BlockTables = 1024;

    private readonly Guid _storeId;
    private readonly IChunkCodec _codec;
    private readonly Lock _lock = new();
    private volatile Block?[] _blocks = new Block?[64];
    private int _last;

    public TableRegistry(Guid storeId, IChunkCodec codec)
    {
        _storeId = storeId;
        _codec = codec;
    }

    /// <summary>Highest ordinal given out.</summary>
    public int LastOrdinal => Volatile.Read(ref _last);

    /// <summary>The object with this ordinal, or null when it was deleted.</summary>
    public TableInfo? this[int ordinal]
    {
        get
        {
            Block?[] blocks = _blocks;
            int block = ordinal / BlockTables;
            return (uint)block >= (uint)blocks.Length || blocks[block] is not { } found
                ? null
                : Volatile.Read(ref found.Tables[ordinal % BlockTables]);
        }
    }

    /// <summary>Gives a new object the next ordinal.</summary>
    public int Add(TableInfo table)
    {
        lock (_lock)
        {
            Put(_last + 1, table);
            return _last;
        }
    }

    /// <summary>Gives an object the ordinal that it has in a checkpoint. Ordinals come in ascending order.</summary>
    /// <returns>False when the order is broken.</returns>
    public bool TryRestore(int ordinal, TableInfo table)
    {
        lock (_lock)
        {
            if (ordinal <= _last) return false;
            Put(ordinal, table);
            return true;
        }
    }

    public void Remove(int ordinal)
    {
        lock (_lock)
        {
            Block?[] blocks = _blocks;
            int index = ordinal / BlockTables;
            if (blocks[index] is not { } block || block.Tables[ordinal % BlockTables] is null) return;
            Volatile.Write(ref block.Tables[ordinal % BlockTables], null);
            if (--block.Count == 0 && index != _last / BlockTables) Volatile.Write(ref blocks[index], null);
        }
    }

    /// <summary>The objects that exist, with their ordinals, in ascending order.</summary>
    public IEnumerable<(int Ordinal, TableInfo Table)> All()
    {
        Block?[] blocks = _blocks;
        for (int index = 0; index < blocks.Length; index++)
        {
            if (Volatile.Read(ref blocks[index]) is not { } block) continue;
            for (int i = 0; i < BlockTables; i++)
            {
                if (Volatile.Read(ref block.Tables[i]) is { } table) yield return ((index * BlockTables) + i, table);
            }
        }
    }

    /// <inheritdoc/>
    public string ObjectKeyOf(int table) => Require(table).ObjectKey;

    /// <inheritdoc/>
    public void Open(in FrameRef frame, ReadOnlySpan<byte> sealedBytes, Span<byte> plain)
    {
        TableInfo table = Require(frame.Key.Table);
        using var sealer = new FrameSealer(table.Key, _storeId, table.Epoch, table.Number);
        try
        {
            if (frame.Encoding == FrameEncoding.Raw)
            {
                if (sealedBytes.Length != plain.Length + FrameSealer.TagBytes) throw new AuthenticationTagMismatchException();
                sealer.Open(frame, sealedBytes, plain);
                return;
            }

            byte[] encoded = System.Buffers.ArrayPool<byte>.Shared.Rent(sealedBytes.Length);
            try
            {
                Span<byte> body = encoded.AsSpan(0, sealedBytes.Length - FrameSealer.TagBytes);
                sealer.Open(frame, sealedBytes, body);
                _codec.Decompress(body, plain);
            }
            finally
            {
                System.Buffers.ArrayPool<byte>.Shared.Return(encoded);
            }
        }
        catch (AuthenticationTagMismatchException altered)
        {
            throw StorageFaultException.Corrupt(
                $"Frame {frame.Key.Frame} of {table.ObjectKey} (export {frame.Export}, offset {frame.ExportOffset}) " +
                "is not what was stored: its seal does not open.",
                altered);
        }
    }

    private void Put(int ordinal, TableInfo table)
    {
        Block?[] blocks = _blocks;
        int index = ordinal / BlockTables;
        if (index >= blocks.Length) Array.Resize(ref blocks, Math.Max(blocks.Length * 2, index + 1));
        Block block = blocks[index] ??= new Block();
        Volatile.Write(ref block.Tables[ordinal % BlockTables], table);
        block.Count++;
        _blocks = blocks;
        Volatile.Write(ref _last, ordinal);
    }

    private TableInfo Require(int ordinal) =>
        this[ordinal] ?? throw StorageFaultException.Corrupt($"The map names table ordinal {ordinal}, which was deleted.");

    private sealed class Block
    {
        public TableInfo?[] Tables { get; } = new TableInfo?[BlockTables];

        public int Count { get; set; }
    }
}
