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
    private readonly Guid _storeId;
    private readonly IChunkCodec _codec;
    private readonly Lock _lock = new();
    private volatile TableInfo?[] _tables = new TableInfo?[64];
    private int _last;

    public TableRegistry(Guid storeId, IChunkCodec codec)
    {
        _storeId = storeId;
        _codec = codec;
    }

    /// <summary>Highest ordinal given out.</summary>
    public int LastOrdinal => _last;

    /// <summary>The table with this ordinal, or null when it was deleted.</summary>
    public TableInfo? this[int ordinal] => _tables[ordinal];

    public int Add(TableInfo table)
    {
        lock (_lock)
        {
            int ordinal = _last + 1;
            TableInfo?[] tables = _tables;
            if (ordinal >= tables.Length) Array.Resize(ref tables, tables.Length * 2);
            Volatile.Write(ref tables[ordinal], table);
            _tables = tables;
            _last = ordinal;
            return ordinal;
        }
    }

    public void Remove(int ordinal)
    {
        lock (_lock) Volatile.Write(ref _tables[ordinal], null);
    }

    /// <summary>The tables that exist, with their ordinals.</summary>
    public IEnumerable<(int Ordinal, TableInfo Table)> All()
    {
        for (int i = 1; i <= _last; i++)
        {
            if (_tables[i] is { } table) yield return (i, table);
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

    private TableInfo Require(int ordinal) =>
        _tables[ordinal] ?? throw StorageFaultException.Corrupt($"The map names table ordinal {ordinal}, which was deleted.");
}
