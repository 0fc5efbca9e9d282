using System.Globalization;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Serving;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Live;

/// <summary>Tells how a server is, in one headline and one sentence. Pure functions.</summary>
internal static class LiveStates
{
    /// <summary>The kind of state in which another server has the store.</summary>
    public const string Fenced = "fenced";

    // A log that fills is everyday life during a burst; from half on it is worth a look.
    private const double WorthALook = 0.5;

    // Admission begins to hold writes back smoothly a little before the limit.
    private const double Full = 0.98;

    private const double LongestEstimate = 24 * 3600;

    /// <summary>The state of a server whose store has a status, or has none.</summary>
    public static LiveState Of(ServerState.Snapshot life, StoreStatus? status, LiveWal wal)
    {
        if (status is { IsFenced: true })
        {
            return new LiveState(
                LiveLevel.Critical, Fenced, "Fenced: another server took the store over",
                "This one acknowledges nothing any more and stops by itself.", status.Fault, null, null);
        }

        if (status?.Fault is { } fault && life.Phase == ServerPhase.Ready) return Failed(fault);
        return life.Phase switch
        {
            ServerPhase.Starting => new LiveState(LiveLevel.Notice, "starting", "Starting", Sentence(life.Reason), null, null, null),
            ServerPhase.Stopping => new LiveState(
                LiveLevel.Notice, "stopping", "Stopping", "Requests in flight are being finished, and what fits is published.", null, null, null),
            ServerPhase.Failed => Failed(life.Reason),
            _ => status is null
                ? new LiveState(LiveLevel.Good, "past", "Serving the past, read-only", "The store as it was at one moment.", null, null, null)
                : Ready(status, wal),
        };
    }

    private static LiveState Failed(string reason) =>
        new(LiveLevel.Critical, "failed", "Not serving any more", "It takes a person, or a new start.", Sentence(reason), null, null);

    private static LiveState Ready(StoreStatus status, LiveWal wal)
    {
        double share = wal.LimitBytes > 0 ? (double)wal.DirtyBytes / wal.LimitBytes : 0;
        double? fullIn = FullIn(wal, share);
        string fill = $"The WAL holds {Quantities.FormatSize(wal.DirtyBytes)} of {Quantities.FormatSize(wal.LimitBytes)}";
        if (share >= Full)
        {
            string why = status.BucketReachable ? "The bucket takes less than clients write." : "The bucket is away.";
            return new LiveState(
                LiveLevel.Critical, status.BucketReachable ? "walFull" : "bucketAwayFull", "Writes wait: the WAL is full",
                $"{why} Nothing is lost, and writes go on as the bucket takes what waits.",
                status.LastStoreError, status.BucketReachable ? null : status.BucketSince, 0);
        }

        string waits = fullIn is { } seconds ? $"writes will wait in about {Span(seconds)}" : "it does not fill at the moment";
        if (!status.BucketReachable)
        {
            return new LiveState(
                LiveLevel.Warning, "bucketAway", "The bucket is away",
                $"{fill}: {waits}. FLUSHes of published exports wait.", status.LastStoreError, status.BucketSince, fullIn);
        }

        if (share >= WorthALook && fullIn is not null)
        {
            return new LiveState(
                LiveLevel.Warning, "walFilling", "The WAL is filling",
                $"Clients write faster than the bucket takes. {fill}: {waits}.", null, null, fullIn);
        }

        string lag = wal.DirtyBytes == 0 ? "The bucket has everything that was answered."
            : $"The bucket is {wal.LagSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s behind.";
        return new LiveState(LiveLevel.Good, "healthy", "Healthy", lag, null, null, null);
    }

    private static double? FullIn(LiveWal wal, double share)
    {
        if (wal.LimitBytes <= 0 || share >= Full) return share >= Full ? 0 : null;
        if (wal.GrowthBytesPerSecond <= 0) return null;
        double seconds = (wal.LimitBytes - wal.DirtyBytes) / wal.GrowthBytesPerSecond;
        return seconds <= LongestEstimate ? seconds : null;
    }

    private static string Span(double seconds) => seconds switch
    {
        < 1.5 => "a second",
        < 90 => $"{seconds.ToString("0", CultureInfo.InvariantCulture)} seconds",
        < 5400 => $"{(seconds / 60).ToString("0", CultureInfo.InvariantCulture)} minutes",
        _ => $"{(seconds / 3600).ToString("0", CultureInfo.InvariantCulture)} hours",
    };

    private static string Sentence(string? text)
    {
        if (string.IsNullOrWhiteSpace(text)) return "";
        string trimmed = text.Trim();
        return char.ToUpperInvariant(trimmed[0]) + trimmed[1..].TrimEnd('.') + ".";
    }
}
