namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Cancels a request that makes no progress for a while, or whose caller gave up. Disposed by the request that made it.
/// </summary>
internal sealed class StallWatch : IDisposable
{
    private readonly CancellationTokenSource _stalled;
    private readonly CancellationTokenSource _either;
    private readonly TimeSpan _timeout;

    public StallWatch(TimeSpan timeout, TimeProvider time, CancellationToken caller)
    {
        _timeout = timeout;
        _stalled = new CancellationTokenSource(timeout, time);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_stalled.Token, caller);
    }

    /// <summary>Cancelled by a stall or by the caller.</summary>
    public CancellationToken Token => _either.Token;

    /// <summary>Bytes moved: the time starts anew.</summary>
    public void Progress() => _stalled.CancelAfter(_timeout);

    public void Dispose()
    {
        _either.Dispose();
        _stalled.Dispose();
    }
}
