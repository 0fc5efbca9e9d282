namespace ZeroFlow.Stages.Compression;

/// <summary>
/// A fixed number of slots for contexts that one thread at a time may use. When none is free a new one is made, and
/// one that finds no free slot on return is disposed: the pool bounds what is kept, never makes a caller wait.
/// Thread-safe.
/// </summary>
internal sealed class ContextPool<T>(Func<T> create, int slots) : IDisposable
    where T : class, IDisposable
{
    private readonly T?[] _slots = new T?[slots];
    private volatile bool _disposed;

    /// <summary>A context for the caller alone, to be handed back with <see cref="Return"/>.</summary>
    public T Rent()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        for (int i = 0; i < _slots.Length; i++)
        {
            // The plain read keeps losers of the race off the cache line; the exchange decides.
            if (_slots[i] is not null && Interlocked.Exchange(ref _slots[i], null) is { } context) return context;
        }

        return create();
    }

    /// <summary>Hands a context back.</summary>
    public void Return(T context)
    {
        for (int i = 0; i < _slots.Length && !_disposed; i++)
        {
            if (_slots[i] is null && Interlocked.CompareExchange(ref _slots[i], context, null) is null)
            {
                if (_disposed) Drain();
                return;
            }
        }

        context.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _disposed = true;
        Drain();
    }

    private void Drain()
    {
        for (int i = 0; i < _slots.Length; i++) Interlocked.Exchange(ref _slots[i], null)?.Dispose();
    }
}
