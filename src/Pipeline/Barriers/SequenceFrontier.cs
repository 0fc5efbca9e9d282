using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Pipeline.Barriers;

/// <summary>
/// Turns completions that come out of order into a contiguous prefix: <see cref="Reached"/> is the highest sequence at
/// or below which everything is done. A barrier waits for the prefix, never for the last completion. Thread-safe.
/// </summary>
/// <remarks>Those who wait go on in bursts (<see cref="CompletionBurst"/>), off the stack of whoever completes.</remarks>
public sealed class SequenceFrontier
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<ulong, ulong> _ahead = [];
    private readonly PriorityQueue<Waiter, ulong> _waiters = new();
    private readonly Stack<Waiter> _spare = new();
    private ulong _reached;
    private Exception? _fault;

    /// <summary>Makes a frontier at which everything up to <paramref name="start"/> counts as done.</summary>
    public SequenceFrontier(Sequence start) => _reached = start.Value;

    /// <summary>The highest sequence at or below which everything is done.</summary>
    public Sequence Reached => new(Volatile.Read(ref _reached));

    /// <summary>
    /// Marks the sequences from <paramref name="first"/> to <paramref name="last"/> as done, both included. Ranges may
    /// come in any order and never overlap.
    /// </summary>
    public void Complete(Sequence first, Sequence last)
    {
        if (last < first) throw new ArgumentException("A completed range ends before it begins.", nameof(last));
        List<Waiter>? released;
        lock (_lock)
        {
            if (_fault is not null) return;
            if (first.Value != _reached + 1)
            {
                if (first.Value <= _reached) throw new InvalidOperationException($"Sequence {first} completed twice.");
                _ahead.Add(first.Value, last.Value);
                return;
            }

            ulong reached = last.Value;
            while (_ahead.Remove(reached + 1, out ulong next)) reached = next;
            released = Reach(reached);
        }

        if (released is not null) CompletionBurst.Complete(released);
    }

    /// <summary>Marks everything up to <paramref name="point"/> as done; a point behind the frontier changes nothing.</summary>
    public void AdvanceTo(Sequence point)
    {
        List<Waiter>? released;
        lock (_lock)
        {
            if (_fault is not null || point.Value <= _reached) return;
            released = Reach(point.Value);
        }

        if (released is not null) CompletionBurst.Complete(released);
    }

    /// <summary>
    /// Completes when the frontier has reached <paramref name="point"/>, at once if it has. Await the result exactly once.
    /// </summary>
    public ValueTask WhenReachedAsync(Sequence point)
    {
        lock (_lock)
        {
            if (_fault is not null) return ValueTask.FromException(_fault);
            if (point.Value <= _reached) return ValueTask.CompletedTask;
            if (!_spare.TryPop(out Waiter? waiter)) waiter = new Waiter(this);
            _waiters.Enqueue(waiter, point.Value);
            return waiter.Completion;
        }
    }

    /// <summary>
    /// Fails every current and every later waiter: after a lost write no later barrier may succeed. What was reached
    /// before stays reached, but is no longer acknowledged.
    /// </summary>
    public void Fault(Exception fault)
    {
        var failed = new List<Waiter>();
        lock (_lock)
        {
            if (_fault is not null) return;
            _fault = fault;
            while (_waiters.TryDequeue(out Waiter? waiter, out _))
            {
                waiter.Fault = fault;
                failed.Add(waiter);
            }
        }

        CompletionBurst.Complete(failed);
    }

    private List<Waiter>? Reach(ulong reached)
    {
        Volatile.Write(ref _reached, reached);
        List<Waiter>? released = null;
        while (_waiters.TryPeek(out _, out ulong point) && point <= reached)
            (released ??= []).Add(_waiters.Dequeue());
        return released;
    }

    private void Recycle(Waiter waiter)
    {
        // One waiter for each FLUSH in flight is reused; a burst beyond this is left to the collector.
        const int SpareMax = 1024;
        lock (_lock)
        {
            if (_spare.Count < SpareMax) _spare.Push(waiter);
        }
    }

    private sealed class Waiter(SequenceFrontier frontier) : BurstOperation
    {
        protected override void Recycle() => frontier.Recycle(this);
    }
}
