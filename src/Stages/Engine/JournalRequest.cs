using System.Diagnostics;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// One operation on its way through the journal, and the awaitable of whoever asked for it. Pooled: awaiting it returns
/// it to the pool.
/// </summary>
internal sealed class JournalRequest : BurstOperation
{
    private readonly JournalRequestPool _pool;

    public JournalRequest(JournalRequestPool pool) => _pool = pool;

    public WalRecordKind Kind { get; private set; }

    public ExportId Export { get; private set; }

    public BlockRange Range { get; private set; }

    public Memtable? Memtable { get; private set; }

    /// <summary>The bytes to write; the request owns one reference.</summary>
    public BufferLease? Payload { get; private set; }

    public byte[]? CatalogChange { get; private set; }

    /// <summary>Applied by the journal, in order, once the catalog record is in the WAL.</summary>
    public Action? OnJournaled { get; private set; }

    /// <summary>Room taken at admission.</summary>
    public long WalBytes { get; private set; }

    /// <summary>The trace of the request, if it is traced.</summary>
    public Activity? Trace { get; set; }

    public void Write(ExportId export, Memtable memtable, long offset, BufferLease payload, long walBytes) =>
        Set(WalRecordKind.Data, export, memtable, new BlockRange(offset, payload.Length), payload, walBytes);

    public void Zero(ExportId export, Memtable memtable, BlockRange range, long walBytes) =>
        Set(WalRecordKind.Zero, export, memtable, range, null, walBytes);

    public void Catalog(byte[] change, Action onJournaled, long walBytes)
    {
        Set(WalRecordKind.Catalog, default, null, default, null, walBytes);
        CatalogChange = change;
        OnJournaled = onJournaled;
    }

    protected override void Recycle()
    {
        Payload = null;
        Memtable = null;
        CatalogChange = null;
        OnJournaled = null;
        Trace = null;
        _pool.Return(this);
    }

    private void Set(
        WalRecordKind kind, ExportId export, Memtable? memtable, BlockRange range, BufferLease? payload, long walBytes)
    {
        Kind = kind;
        Export = export;
        Memtable = memtable;
        Range = range;
        Payload = payload;
        WalBytes = walBytes;
    }
}

/// <summary>Spare requests. Thread-safe.</summary>
internal sealed class JournalRequestPool
{
    // One for each NBD request that can be in flight on eight connections; a burst beyond it is left to the collector.
    private const int SpareMax = 8 * 256;

    private readonly Lock _lock = new();
    private readonly Stack<JournalRequest> _spare = new();

    public JournalRequest Rent()
    {
        lock (_lock)
        {
            if (_spare.TryPop(out JournalRequest? request)) return request;
        }

        return new JournalRequest(this);
    }

    public void Return(JournalRequest request)
    {
        lock (_lock)
        {
            if (_spare.Count < SpareMax) _spare.Push(request);
        }
    }
}
