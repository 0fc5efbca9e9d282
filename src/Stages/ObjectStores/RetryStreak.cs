namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The failures of one request so far. A failure of another sort than the last begins anew: a 403 at the end of a long
/// outage has not been a 403 for long.
/// </summary>
internal struct RetryStreak
{
    private Sort _sort;
    private long _since;
    private int _failures;

    private enum Sort
    {
        None,
        Outage,
        Refusal,
        ShortBody,
        Final,
    }

    /// <summary>Counts a failure of an attempt that began at <paramref name="started"/>.</summary>
    /// <returns>The longest wait before the next attempt, or null to give up.</returns>
    public TimeSpan? Add(ObjectStoreErrorKind kind, long started, RetryPolicy policy, TimeProvider time)
    {
        Sort sort = SortOf(kind);
        if (sort != _sort)
        {
            _sort = sort;
            _since = started;
            _failures = 0;
        }

        _failures++;
        return policy.NextDelayBound(kind, _failures, time.GetElapsedTime(_since));
    }

    private static Sort SortOf(ObjectStoreErrorKind kind) => kind switch
    {
        ObjectStoreErrorKind.Transient or ObjectStoreErrorKind.Throttled => Sort.Outage,
        ObjectStoreErrorKind.Denied or ObjectStoreErrorKind.StoreMissing or ObjectStoreErrorKind.Full => Sort.Refusal,
        ObjectStoreErrorKind.ShortBody => Sort.ShortBody,
        _ => Sort.Final,
    };
}
