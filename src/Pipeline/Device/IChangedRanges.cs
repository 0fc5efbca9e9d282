using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Pipeline.Device;

/// <summary>
/// Where an export, or a snapshot of one, differs from another snapshot of the same export. Thread-safe. Keeps the snapshot
/// in use until it is disposed.
/// </summary>
public interface IChangedRanges : IDisposable
{
    /// <summary>
    /// Describes <paramref name="range"/> as alternating runs, in order and without gaps, into <paramref name="runs"/>;
    /// stops early when that is full. Every byte that differs is in a run that has changed, whatever is written or stored
    /// meanwhile: a write that was answered before the call counts. Bytes that were written and are the same as before may
    /// be in one, too, and so are all bytes beyond the end of the snapshot.
    /// </summary>
    /// <returns>The runs written; at least one for a range that is not empty.</returns>
    ValueTask<int> GetAsync(BlockRange range, Memory<ChangedRun> runs, CancellationToken cancellation);
}

/// <summary>One run of an answer.</summary>
/// <param name="Length">Bytes in the run.</param>
/// <param name="IsChanged">False when every byte of the run is the same on both sides.</param>
public readonly record struct ChangedRun(long Length, bool IsChanged);
