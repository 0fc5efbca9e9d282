using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Micro;

/// <summary>
/// One thread: pwrite 4 KiB, fdatasync, again. No server that makes one write durable at a time on this filesystem can
/// answer a FLUSH sooner.
/// </summary>
internal static unsafe class SyncFloor
{
    /// <summary>Size of the preallocated file; the loop wraps in it.</summary>
    public const long FilledBytes = 64L * 1024 * 1024;

    /// <param name="directory">On the filesystem in question; the file is deleted.</param>
    /// <param name="duration">How long to loop.</param>
    /// <param name="preallocated">Overwrite a file full of zeros, rather than append: spares the journal of the
    /// filesystem the new size and extents.</param>
    public static FloorResult Run(string directory, TimeSpan duration, bool preallocated)
    {
        using var payloads = new PayloadPool(2, 1);
        using var file = new DurableFile(
            Path.Combine(directory, $"sync-floor-{Environment.ProcessId}"), preallocated ? FilledBytes : 0);
        var latency = new LatencyHistogram();
        var begun = LoadWindow.Now();
        var stopAt = begun + (long)duration.TotalNanoseconds;
        var now = begun;
        for (var ordinal = 0L; now < stopAt; ordinal++)
        {
            var started = now;
            var offset = ordinal * PayloadPool.PieceBytes;
            var piece = new NativeSocket.Piece
            {
                Start = payloads.At(ordinal, PayloadPool.PieceBytes),
                Length = PayloadPool.PieceBytes,
            };
            file.Write(&piece, 1, preallocated ? offset % FilledBytes : offset);
            file.SyncData();
            now = LoadWindow.Now();
            latency.Record(now - started);
        }

        var perSecond = latency.Count / ((now - begun) / 1e9);
        var name = preallocated ? "overwrite + fdatasync" : "append + fdatasync";
        return new FloorResult(name, perSecond, perSecond, LatencySummary.Of(latency));
    }
}
