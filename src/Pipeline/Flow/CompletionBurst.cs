using System.Collections.Concurrent;

namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// Ends operations that become ready together, as those of one batch of the log do, one behind the other in one work item,
/// so that who answers for them can answer for many at once. Thread-safe.
/// </summary>
/// <remarks>
/// An item of work for each operation would cost a hand-over between threads for each, and a send for each reply: the first
/// finds the sender idle, and what the others have to say comes too late for it. What runs in a burst shares its thread
/// with the rest of the burst and must not block.
/// </remarks>
public sealed class CompletionBurst : IThreadPoolWorkItem
{
    /// <summary>Most operations of one burst; further ones make another, which may run beside it.</summary>
    public const int ItemsMax = 32;

    private static readonly ConcurrentQueue<CompletionBurst> s_spare = new();

    [ThreadStatic]
    private static List<IBurstListener>? t_listeners;

    private readonly List<IBurstItem> _items = new(ItemsMax);
    private readonly List<IBurstListener> _listeners = [];

    private CompletionBurst()
    {
    }

    /// <summary>
    /// Ends <paramref name="items"/>, in this order within each burst, on the thread pool, or on the scheduler of a
    /// simulation. The caller may reuse the list at once.
    /// </summary>
    public static void Complete<T>(IReadOnlyList<T> items)
        where T : class, IBurstItem
    {
        for (int first = 0; first < items.Count; first += ItemsMax)
        {
            if (!s_spare.TryDequeue(out CompletionBurst? burst)) burst = new CompletionBurst();
            int end = Math.Min(items.Count, first + ItemsMax);
            for (int at = first; at < end; at++) burst._items.Add(items[at]);
            burst.Launch();
        }
    }

    /// <summary>
    /// Within a burst, has <paramref name="listener"/> called on this thread when the burst is over, once however often it
    /// asks.
    /// </summary>
    /// <returns>False when this thread is in no burst, and nobody will call.</returns>
    public static bool TellEnd(IBurstListener listener)
    {
        if (t_listeners is not { } listeners) return false;
        // Mostly the one that asked last; there are few.
        if (listeners.LastIndexOf(listener) < 0) listeners.Add(listener);
        return true;
    }

    /// <summary>For the thread pool.</summary>
    void IThreadPoolWorkItem.Execute() => Run();

    private void Launch()
    {
        // Not on the threads that yield, where a failed store may end what waits for it: answers are foreground.
        if (TaskScheduler.Current == TaskScheduler.Default || TaskScheduler.Current is YieldingScheduler)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            return;
        }

        _ = Task.Factory.StartNew(
            static burst => ((CompletionBurst)burst!).Run(), this, CancellationToken.None, TaskCreationOptions.DenyChildAttach,
            TaskScheduler.Current);
    }

    private void Run()
    {
        t_listeners = _listeners;
        try
        {
            foreach (IBurstItem item in _items) item.End();
        }
        finally
        {
            t_listeners = null;
        }

        foreach (IBurstListener listener in _listeners) listener.OnBurstEnd();
        _items.Clear();
        _listeners.Clear();
        s_spare.Enqueue(this);
    }
}

/// <summary>An operation that a <see cref="CompletionBurst"/> ends.</summary>
public interface IBurstItem
{
    /// <summary>Ends the operation and runs what waited for it. Does not fail, and does not block.</summary>
    void End();
}

/// <summary>Gathers what operations of one burst have to say.</summary>
public interface IBurstListener
{
    /// <summary>The burst is over. Does not fail, and does not block.</summary>
    void OnBurstEnd();
}
