using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Journal;

/// <summary>What a record of the WAL says. The values are part of the format.</summary>
public enum WalRecordKind : byte
{
    /// <summary>Bytes written to an export; the payload is those bytes.</summary>
    Data = 1,

    /// <summary>A range that reads as zeros from here on; no payload.</summary>
    Zero = 2,

    /// <summary>A change of the catalog; the payload is the encoded change, offset and length are zero.</summary>
    Catalog = 3,
}

/// <summary>The description of one WAL record.</summary>
/// <param name="Sequence">Its place in the commit order; records are appended without gaps.</param>
/// <param name="Kind">What it says.</param>
/// <param name="Export">The export that it is about; zero for the catalog.</param>
/// <param name="Offset">First byte of the range in the export.</param>
/// <param name="Length">Bytes in the range; for <see cref="WalRecordKind.Data"/> also the length of the payload.</param>
public readonly record struct WalRecordHeader(
    Sequence Sequence, WalRecordKind Kind, ExportId Export, long Offset, long Length);

/// <summary>Where a record lies in the WAL.</summary>
/// <param name="Segment">Ordinal of the segment file.</param>
/// <param name="Address">Address within the segment.</param>
public readonly record struct WalPosition(int Segment, long Address);

/// <summary>
/// The local write-ahead log. One journal appends; any thread may sync, read and release.
/// </summary>
/// <remarks>
/// The order of promises: <see cref="Append"/> stages a record, <see cref="HandOverAsync"/> makes it survive a kill of
/// this process, <see cref="Sync"/> makes it survive power loss. After a device error every later call of the
/// three fails: a log that may have lost a write acknowledges nothing more.
/// </remarks>
public interface IWriteAheadLog : IAsyncDisposable
{
    /// <summary>Largest payload of one record in bytes; longer writes are split by the caller.</summary>
    int PayloadBytesMax { get; }

    /// <summary>Bytes of segment files on disk now.</summary>
    long BytesOnDisk { get; }

    /// <summary>
    /// Bytes that a record with <paramref name="payloadBytes"/> of payload is charged: what it takes in the log, and not
    /// less than what it costs in memory.
    /// </summary>
    int RecordBytes(int payloadBytes);

    /// <summary>
    /// Makes room for one record of <paramref name="bytes"/> (as counted by <see cref="RecordBytes"/>), opening the next
    /// segment when needed. While the disk is full it waits for space, for a bounded time; so call it, then
    /// <see cref="Append"/>, record by record.
    /// </summary>
    /// <exception cref="Pipeline.Faults.StorageFaultException">The disk stayed full; nothing was appended.</exception>
    ValueTask ReserveAsync(long bytes, CancellationToken cancellation);

    /// <summary>Seals and stages one record; room must have been reserved. The payload is copied.</summary>
    WalPosition Append(in WalRecordHeader header, ReadOnlySpan<byte> payload);

    /// <summary>Hands every staged record to the operating system.</summary>
    ValueTask HandOverAsync();

    /// <summary>
    /// Makes stable every record that was handed over before the call; may be called while others append. Blocks the
    /// calling thread for the time of the device's sync.
    /// </summary>
    void Sync();

    /// <summary>
    /// Reads the payload of a record that was handed over into <paramref name="destination"/>, whose length is the
    /// record's.
    /// </summary>
    /// <returns>False when the record was released in the meantime: its bytes are in a committed table.</returns>
    ValueTask<bool> TryReadAsync(WalPosition position, WalRecordHeader header, Memory<byte> destination);

    /// <summary>Lets go of every record up to <paramref name="through"/>: they are in the committed chain.</summary>
    void Release(Sequence through);
}
