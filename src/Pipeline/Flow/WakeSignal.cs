namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// Lets one actor sleep until somebody wakes it or its time comes. Waking one that is awake makes its next sleep short;
/// waking it several times counts once. Any thread may wake; one sleeps.
/// </summary>
public sealed class WakeSignal : IDisposable
{
    private readonly SemaphoreSlim _wake = new(0);
    private readonly TimeProvider _time;
    private int _isPending;

    /// <summary>Makes a signal whose sleeps are timed by <paramref name="time"/>.</summary>
    public WakeSignal(TimeProvider time) => _time = time;

    /// <summary>Ends the sleep, now or the next one.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref _isPending, 1) == 0) _wake.Release();
    }

    /// <summary>
    /// Sleeps until woken, or for <paramref name="longest"/> at most; <see cref="Timeout.InfiniteTimeSpan"/> for no limit.
    /// </summary>
    public async Task SleepAsync(TimeSpan longest, CancellationToken cancellation)
    {
        if (longest == Timeout.InfiniteTimeSpan)
        {
            await _wake.WaitAsync(cancellation);
        }
        else
        {
            using var early = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task woken = _wake.WaitAsync(early.Token);
            await Task.WhenAny(woken, Task.Delay(longest, _time, early.Token));
            await early.CancelAsync();
            await woken.ContinueWith(
                static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            if (!woken.IsCompletedSuccessfully)
            {
                cancellation.ThrowIfCancellationRequested();
                return;
            }
        }

        Volatile.Write(ref _isPending, 0);
    }

    /// <inheritdoc/>
    public void Dispose() => _wake.Dispose();
}
