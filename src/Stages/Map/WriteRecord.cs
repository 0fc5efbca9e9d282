using System.Diagnostics;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Journal;

namespace ZeroFlow.Stages.Map;

/// <summary>
/// One operation that is in the WAL and not yet in a committed table. Its payload is in memory while the budget lasts,
/// and in the WAL in any case.
/// </summary>
internal sealed class WriteRecord
{
    private readonly ByteBudget? _memory;
    private BufferLease? _payload;

    /// <param name="header">What the WAL says.</param>
    /// <param name="position">Where the WAL says it.</param>
    /// <param name="acknowledgedAt">Timestamp for the age of unpublished writes.</param>
    /// <param name="payload">Bytes in memory, or null; the record takes over one reference.</param>
    /// <param name="payloadOffset">Where in the lease the record's bytes begin.</param>
    /// <param name="memory">The budget that the payload was taken from.</param>
    public WriteRecord(
        in WalRecordHeader header, WalPosition position, long acknowledgedAt, BufferLease? payload, int payloadOffset,
        ByteBudget? memory)
    {
        Header = header;
        Position = position;
        AcknowledgedAt = acknowledgedAt;
        PayloadOffset = payloadOffset;
        _payload = payload;
        _memory = memory;
    }

    public WalRecordHeader Header { get; }

    public WalPosition Position { get; }

    public long AcknowledgedAt { get; }

    public int PayloadOffset { get; }

    /// <summary>The index of the export that the record belongs to; null for the catalog.</summary>
    public Memtable? Memtable { get; init; }

    /// <summary>The encoded change of a catalog record.</summary>
    public byte[]? CatalogChange { get; init; }

    /// <summary>Bytes of the memory budget that go back with the payload of this record.</summary>
    public int MemoryBytes { get; init; }

    /// <summary>Bytes that the record takes in the WAL: what goes back to the dirty budget when it is released.</summary>
    public int WalBytes { get; init; }

    /// <summary>The trace of the request that asked for it, if that is traced.</summary>
    public Activity? Trace { get; init; }

    public BlockRange Range => new(Header.Offset, Header.Length);

    /// <summary>The payload, borrowed, or null when it is only in the WAL. Valid until the record is committed.</summary>
    public BufferLease? Payload => Volatile.Read(ref _payload);

    /// <summary>Lets go of the memory. Called once, after the record has left the memtable.</summary>
    public void ReleasePayload()
    {
        BufferLease? payload = Interlocked.Exchange(ref _payload, null);
        if (payload is null) return;
        payload.Release();
        if (MemoryBytes > 0) _memory?.Return(MemoryBytes);
    }
}
