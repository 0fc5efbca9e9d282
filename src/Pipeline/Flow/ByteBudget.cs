namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// A bound in bytes: taken before work is let in, returned when it is done. Waiters are served in the order in which
/// they came, so that a large request is not starved by small ones. Thread-safe.
/// </summary>
/// <remarks>
/// Dataflow bounds count messages, and a message may be 512 bytes or 32 MiB; this is what bounds memory. A request
/// larger than the whole budget is let in alone instead of waiting for ever.
/// </remarks>
public sealed class ByteBudget
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Waiter> _waiters = new();
    private long _used;
    private Exception? _fault;

    /// <summary>Makes a budget of <paramref name="limitBytes"/>.</summary>
    public ByteBudget(long limitBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limitBytes);
        LimitBytes = limitBytes;
    }

    /// <summary>The bound.</summary>
    public long LimitBytes { get; }

    /// <summary>Bytes taken and not yet returned.</summary>
    public long UsedBytes => Volatile.Read(ref _used);

    /// <summary>Takes <paramref name="bytes"/> if they are free and nobody waits.</summary>
    public bool TryTake(long bytes)
    {
        lock (_lock)
        {
            if (_fault is not null || _waiters.Count > 0 || !Fits(bytes)) return false;
            _used += bytes;
            return true;
        }
    }

    /// <summary>Takes <paramref name="bytes"/>, waiting in line until they are free.</summary>
    /// <exception cref="OperationCanceledException">The wait was given up; nothing was taken.</exception>
    public ValueTask TakeAsync(long bytes, CancellationToken cancellation)
    {
        Waiter waiter;
        lock (_lock)
        {
            if (_fault is not null) return ValueTask.FromException(_fault);
            if (_waiters.Count == 0 && Fits(bytes))
            {
                _used += bytes;
                return ValueTask.CompletedTask;
            }

            cancellation.ThrowIfCancellationRequested();
            waiter = new Waiter(bytes);
            waiter.Node = _waiters.AddLast(waiter);
        }

        return WaitAsync(waiter, cancellation);
    }

    /// <summary>Takes bytes without asking, for what already exists and only has to be counted (recovery).</summary>
    public void TakeUnconditionally(long bytes)
    {
        lock (_lock) _used += bytes;
    }

    /// <summary>Gives <paramref name="bytes"/> back and lets waiters in.</summary>
    public void Return(long bytes)
    {
        List<Waiter>? served;
        lock (_lock)
        {
            _used -= bytes;
            if (_used < 0) throw new InvalidOperationException("More bytes were returned to a budget than were taken.");
            served = LetIn();
        }

        Signal(served);
    }

    /// <summary>Fails every waiter and every later <see cref="TakeAsync"/> with <paramref name="fault"/>.</summary>
    public void Fault(Exception fault)
    {
        Waiter[] waiting;
        lock (_lock)
        {
            _fault ??= fault;
            waiting = [.. _waiters];
            foreach (Waiter waiter in waiting) waiter.Node = null;
            _waiters.Clear();
        }

        foreach (Waiter waiter in waiting) waiter.TrySetException(fault);
    }

    private bool Fits(long bytes) => _used == 0 || bytes <= LimitBytes - _used;

    private List<Waiter>? LetIn()
    {
        List<Waiter>? served = null;
        while (_waiters.First is { } first && Fits(first.Value.Bytes))
        {
            _used += first.Value.Bytes;
            _waiters.RemoveFirst();
            first.Value.Node = null;
            (served ??= []).Add(first.Value);
        }

        return served;
    }

    private static void Signal(List<Waiter>? served)
    {
        if (served is null) return;
        foreach (Waiter waiter in served) waiter.TrySetResult();
    }

    private async ValueTask WaitAsync(Waiter waiter, CancellationToken cancellation)
    {
        using CancellationTokenRegistration registration = cancellation.UnsafeRegister(
            static (state, token) =>
            {
                var (budget, abandoned) = ((ByteBudget, Waiter))state!;
                budget.Abandon(abandoned, token);
            },
            (this, waiter));
        await waiter.Task;
    }

    private void Abandon(Waiter waiter, CancellationToken token)
    {
        List<Waiter>? served;
        lock (_lock)
        {
            if (waiter.Node is null) return;
            _waiters.Remove(waiter.Node);
            waiter.Node = null;

            // Those behind a large request may fit; there may be no return to let them in later.
            served = LetIn();
        }

        waiter.TrySetCanceled(token);
        Signal(served);
    }

    private sealed class Waiter(long bytes) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long Bytes { get; } = bytes;

        public LinkedListNode<Waiter>? Node { get; set; }
    }
}
