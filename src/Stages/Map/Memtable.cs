using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Map;

/// <summary>Where a range of the memtable comes from: a record, from its byte <paramref name="Start"/> on.</summary>
internal readonly record struct MemtableValue(WriteRecord Record, long Start) : IExtentValue<MemtableValue>
{
    public MemtableValue Skip(long bytes) => this with { Start = Start + bytes };
}

/// <summary>A found piece of the memtable. When the payload is in memory, the reader holds a reference to it.</summary>
internal readonly record struct MemtableHit(BlockRange Range, WriteRecord Record, long Start, BufferLease? Payload);

/// <summary>
/// The index of one export over what is in the WAL and not yet in a committed table. Newest wins. Thread-safe; the lock
/// is held for look-ups and updates only, never across I/O or a copy.
/// </summary>
internal sealed class Memtable
{
    private readonly Lock _lock = new();
    private readonly ExtentMap<MemtableValue> _extents = new();
    private readonly List<Extent<MemtableValue>> _scratch = [];

    public int Count
    {
        get
        {
            lock (_lock) return _extents.Count;
        }
    }

    /// <summary>Puts a record on top. Records come in the order of their sequence.</summary>
    public void Insert(WriteRecord record)
    {
        lock (_lock) _extents.Set(record.Range, new MemtableValue(record, 0));
    }

    /// <summary>
    /// Finds what covers <paramref name="range"/>, in order; gaps belong to the committed map. Each payload found in
    /// memory comes with a reference that the caller releases.
    /// </summary>
    public void Collect(BlockRange range, List<MemtableHit> hits)
    {
        lock (_lock)
        {
            _scratch.Clear();
            _extents.Collect(range, _scratch);
            foreach (Extent<MemtableValue> extent in _scratch)
            {
                WriteRecord record = extent.Value.Record;
                BufferLease? payload = record.Payload;
                payload?.AddReference();
                hits.Add(new MemtableHit(extent.Range, record, extent.Value.Start, payload));
            }

            _scratch.Clear();
        }
    }

    /// <summary>
    /// Removes from <paramref name="range"/> what a committed table now holds: records up to <paramref name="through"/>.
    /// Newer ones stay.
    /// </summary>
    public void Release(BlockRange range, Sequence through)
    {
        lock (_lock)
        {
            _scratch.Clear();
            _extents.Collect(range, _scratch);
            foreach (Extent<MemtableValue> extent in _scratch)
            {
                if (extent.Value.Record.Header.Sequence <= through) _extents.Clear(extent.Range);
            }

            _scratch.Clear();
        }
    }
}
