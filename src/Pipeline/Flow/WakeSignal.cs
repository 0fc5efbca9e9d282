namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// Lets one actor sleep until somebody wakes it or its time comes. Waking one that is awake makes its next sleep short;
/// waking it several times counts once. Any thread may wake; one sleeps.
/// </summary>
/// <remarks>
/// A sleep is one completion source, which the wake, the timer and the cancellation race to complete: nothing in it runs
/// on a thread of its own choice, so a simulation sees every step.
/// </remarks>
public sealed class WakeSignal : IDisposable
{
    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private TaskCompletionSource? _sleep;
    private bool _isPending;

    /// <summary>Makes a signal whose sleeps are timed by <paramref name="time"/>.</summary>
    public WakeSignal(TimeProvider time) => _time = time;

    /// <summary>Ends the sleep, now or the next one.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            // Who has been woken by its timer may have looked for work already: its next sleep is the short one.
            if (_sleep is null || !_sleep.TrySetResult()) _isPending = true;
        }
    }

    /// <summary>
    /// Sleeps until woken, or for <paramref name="longest"/> at most; <see cref="Timeout.InfiniteTimeSpan"/> for no limit.
    /// </summary>
    public async Task SleepAsync(TimeSpan longest, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var sleep = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (_isPending)
            {
                _isPending = false;
                return;
            }

            _sleep = sleep;
        }

        try
        {
            using CancellationTokenRegistration stop = cancellation.UnsafeRegister(
                static (state, token) => ((TaskCompletionSource)state!).TrySetCanceled(token), sleep);
            using ITimer? alarm = longest == Timeout.InfiniteTimeSpan
                ? null
                : _time.CreateTimer(
                    static state => ((TaskCompletionSource)state!).TrySetResult(), sleep, longest, Timeout.InfiniteTimeSpan);
            await sleep.Task;
        }
        finally
        {
            lock (_lock) _sleep = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock) _sleep?.TrySetCanceled();
    }
}
