using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Pipeline.Device;

/// <summary>
/// The narrow waist between a wire protocol and the store: one writable export. All members may be called from any
/// thread, many at once; operations complete in any order.
/// </summary>
/// <remarks>
/// Ranges must lie within the export: callers check them with <see cref="BlockRange.FitsIn"/>, and an implementation
/// answers a stray one with <see cref="ArgumentOutOfRangeException"/>. Every other failure is a
/// <see cref="Faults.StorageFaultException"/>, whose kind decides the protocol's error code. A returned
/// <see cref="ValueTask"/> is awaited exactly once. Cancelling gives up the wait, not the operation: a write that was
/// admitted takes effect all the same.
/// </remarks>
public interface IBlockDevice
{
    /// <summary>The export as it is now; a changed durability level or description shows in a later read.</summary>
    ExportInfo Info { get; }

    /// <summary>
    /// Counts a client in until the result is disposed: what would pull the export away from under a client is refused
    /// meanwhile.
    /// </summary>
    IDisposable? Attach() => null;

    /// <summary>
    /// Fills <paramref name="destination"/> with the bytes at <paramref name="offset"/>. Completes synchronously when
    /// all of them are in memory. The buffer is borrowed until the task completes.
    /// </summary>
    /// <remarks>
    /// Where only parts are damaged, the fault names them (<see cref="Faults.StorageFaultException.FailedRanges"/>), and
    /// the rest is in the buffer.
    /// </remarks>
    ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation);

    /// <summary>
    /// Like <see cref="ReadAsync"/>, but bytes that lie in memory in few pieces, and are all data, may be lent instead of
    /// copied: then <paramref name="pieces"/> has all of them in order, the caller releases each, nobody changes them
    /// meanwhile, and <paramref name="destination"/> is untouched. Otherwise <paramref name="pieces"/> stays empty.
    /// </summary>
    ValueTask ReadOrBorrowAsync(
        long offset, Memory<byte> destination, List<BufferPiece> pieces, CancellationToken cancellation) =>
        ReadAsync(offset, destination, cancellation);

    /// <summary>
    /// Writes the whole of <paramref name="payload"/> at <paramref name="offset"/>. On success the bytes have been
    /// handed to the operating system for the local log, and survive a kill of this process; with
    /// <paramref name="forceUnitAccess"/> they are durable at the export's level.
    /// </summary>
    /// <remarks>Takes over the caller's reference to <paramref name="payload"/>, also when it fails.</remarks>
    ValueTask WriteAsync(long offset, BufferLease payload, bool forceUnitAccess, CancellationToken cancellation);

    /// <summary>
    /// Makes <paramref name="range"/> read as zeros, of any length in one operation. Serves both TRIM and
    /// WRITE_ZEROES: a trimmed range reads as zeros here, too.
    /// </summary>
    ValueTask ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellation);

    /// <summary>
    /// Makes every operation on this export that was answered before the call durable at the export's level,
    /// whichever connection it came from. Later writes are neither delayed nor covered.
    /// </summary>
    ValueTask FlushAsync(CancellationToken cancellation);

    /// <summary>
    /// Asked right before an acknowledgement leaves the process: completes, nearly always at once, when what was done may
    /// still be told. Fails when the device has lost its store in the meantime.
    /// </summary>
    ValueTask ConfirmAsync() => ValueTask.CompletedTask;

    /// <summary>
    /// Describes <paramref name="range"/> as alternating runs of data and holes, in order and without gaps, into
    /// <paramref name="extents"/>; stops early when that is full. Completes synchronously when the map of the range is in
    /// memory. The buffer is borrowed until the task completes.
    /// </summary>
    /// <returns>The runs written; at least one for a range that is not empty.</returns>
    ValueTask<int> GetStatusAsync(BlockRange range, Memory<BlockStatus> extents, CancellationToken cancellation);

    /// <summary>Starts to bring <paramref name="range"/> into the cache; a hint, it never fails and never waits.</summary>
    void Prefetch(BlockRange range);
}

/// <summary>One run of a block-status answer.</summary>
/// <param name="Length">Bytes in the run.</param>
/// <param name="IsHole">True when nothing is stored for the run, which therefore reads as zeros.</param>
public readonly record struct BlockStatus(long Length, bool IsHole);
