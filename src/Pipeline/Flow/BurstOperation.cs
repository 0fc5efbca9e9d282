using System.Threading.Tasks.Sources;

namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// An operation that somebody awaits and a <see cref="CompletionBurst"/> ends. Reusable: awaiting it hands it back to whoever
/// made it. Awaited exactly once.
/// </summary>
public abstract class BurstOperation : IValueTaskSource, IBurstItem
{
    // What waits goes on within End: the threads of bursts are there to run it.
    private ManualResetValueTaskSourceCore<bool> _core;

    /// <summary>Why the operation failed, set before its end; null for success.</summary>
    public Exception? Fault { get; set; }

    /// <summary>Completes with <see cref="End"/>.</summary>
    public ValueTask Completion => new(this, _core.Version);

    /// <summary>Tells whoever waits; the operation is not used any more afterwards.</summary>
    public void End()
    {
        if (Fault is { } fault) _core.SetException(fault);
        else _core.SetResult(true);
    }

    /// <inheritdoc/>
    public void GetResult(short token)
    {
        try
        {
            _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            Fault = null;
            Recycle();
        }
    }

    /// <inheritdoc/>
    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    /// <inheritdoc/>
    public void OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    /// <summary>The operation was awaited and may be used again.</summary>
    protected abstract void Recycle();
}
