namespace ZeroFlow.Pipeline.Flow;

/// <summary>Starts the long-lived loops of actors so that none of them can fail unseen.</summary>
public static class BackgroundLoop
{
    /// <summary>
    /// Runs <paramref name="loop"/> on the caller's scheduler: the thread pool, or that of a simulation. A fault, other than the cancellation of
    /// <paramref name="stopping"/>, goes to <paramref name="onFault"/>; the returned task itself never fails.
    /// </summary>
    public static Task Start(Func<CancellationToken, Task> loop, Action<Exception> onFault, CancellationToken stopping) =>
        Task.Factory.StartNew(
            () => ObserveAsync(loop, onFault, stopping),
            CancellationToken.None,
            TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Current).Unwrap();

    private static async Task ObserveAsync(
        Func<CancellationToken, Task> loop, Action<Exception> onFault, CancellationToken stopping)
    {
        try
        {
            await loop(stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // The owner asked the loop to end.
        }
        catch (Exception fault)
        {
            onFault(fault);
        }
    }
}
