namespace ZeroFlow.Stages.ObjectStores;

/// <summary>How patient <see cref="RetryingObjectStore"/> is with a store in trouble. Immutable; data only.</summary>
/// <remarks>
/// Waits grow exponentially to a maximum and are drawn evenly between zero and that (full jitter), so that requests
/// that failed together do not come back together.
/// </remarks>
public sealed record RetryPolicy
{
    /// <summary>
    /// For what must reach the bucket: goes on until it is cancelled, except for <c>Invalid</c> requests.
    /// </summary>
    public static RetryPolicy ForUploads { get; } = new();

    /// <summary>
    /// For the first, small requests of a server that starts: gives up after about 20 seconds, so that a wrong endpoint
    /// or key ends in an error that somebody sees.
    /// </summary>
    public static RetryPolicy ForOpening { get; } = new()
    {
        OutagePatience = TimeSpan.FromSeconds(20),
        RefusalPatience = TimeSpan.FromSeconds(3),
        AttemptTimeout = TimeSpan.FromSeconds(10),
        DelayMax = TimeSpan.FromSeconds(2),
    };

    /// <summary>How long to go on through transient errors and throttling.</summary>
    public TimeSpan OutagePatience { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>
    /// How long to go on while the store refuses (Denied), is missing or is full: a person has to act.
    /// </summary>
    public TimeSpan RefusalPatience { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>Longest time for one attempt; infinite leaves it to the store's own timeouts.</summary>
    public TimeSpan AttemptTimeout { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>Attempts for a body of the wrong length.</summary>
    public int ShortBodyAttemptsMax { get; init; } = 5;

    /// <summary>Bound of the wait after the first transient failure.</summary>
    public TimeSpan FirstDelay { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Bound of the wait after many transient failures: how late a request notices that an outage has ended.
    /// </summary>
    public TimeSpan DelayMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Bound of the wait after the first throttled request.</summary>
    public TimeSpan FirstThrottledDelay { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Bound of the wait after many throttled requests.</summary>
    public TimeSpan ThrottledDelayMax { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Bound of the wait after a refusal; the same each time, since nothing but a person changes the answer.
    /// </summary>
    public TimeSpan RefusedDelay { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For reads that a client waits for: outages are waited out, refusals only for so long.</summary>
    public static RetryPolicy ForReads(TimeSpan refusalPatience) => new() { RefusalPatience = refusalPatience };

    /// <summary>
    /// The longest wait before the next attempt, or null to give up.
    /// </summary>
    /// <param name="kind">Why the last attempt failed.</param>
    /// <param name="failures">Attempts in a row that have failed in this way, this one included.</param>
    /// <param name="elapsed">Time since the first of them began.</param>
    internal TimeSpan? NextDelayBound(ObjectStoreErrorKind kind, int failures, TimeSpan elapsed)
    {
        switch (kind)
        {
            case ObjectStoreErrorKind.Transient:
                return IsOver(elapsed, OutagePatience) ? null : Grown(FirstDelay, DelayMax, failures);
            case ObjectStoreErrorKind.Throttled:
                return IsOver(elapsed, OutagePatience) ? null : Grown(FirstThrottledDelay, ThrottledDelayMax, failures);
            case ObjectStoreErrorKind.Denied or ObjectStoreErrorKind.StoreMissing or ObjectStoreErrorKind.Full:
                return IsOver(elapsed, RefusalPatience) ? null : RefusedDelay;
            case ObjectStoreErrorKind.ShortBody:
                return failures >= ShortBodyAttemptsMax ? null : Grown(FirstDelay, DelayMax, failures);
            default:
                return null;
        }
    }

    private static bool IsOver(TimeSpan elapsed, TimeSpan patience) =>
        patience != Timeout.InfiniteTimeSpan && elapsed >= patience;

    private static TimeSpan Grown(TimeSpan first, TimeSpan max, int failures)
    {
        // 2^30 times any first delay is past every maximum; a larger shift would overflow.
        double grown = first.TotalSeconds * Math.Pow(2, Math.Min(failures - 1, 30));
        return TimeSpan.FromSeconds(Math.Min(grown, max.TotalSeconds));
    }
}
