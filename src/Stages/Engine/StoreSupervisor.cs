using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Keeps the first cause for which a store must stop, and tells everybody who waits. Thread-safe.
/// </summary>
/// <remarks>
/// Two things are final: another writer owns the store, and the WAL can no longer promise what it acknowledges. After
/// either nothing is acknowledged any more; reads go on.
/// </remarks>
internal sealed partial class StoreSupervisor : IDisposable
{
    private readonly TaskCompletionSource<StorageFaultException> _fatal =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Action<Exception>> _waiters = [];
    private readonly Lock _lock = new();
    private readonly ILogger _log;
    private volatile StorageFaultException? _cause;

    public StoreSupervisor(ILogger log) => _log = log;

    /// <summary>Completes with the cause when the store must stop.</summary>
    public Task<StorageFaultException> Fatal => _fatal.Task;

    /// <summary>The cause, or null while all is well.</summary>
    public StorageFaultException? Cause => _cause;

    /// <summary>Cancelled when the store stops, for whatever reason.</summary>
    public CancellationToken Stopping => _stopping.Token;

    /// <summary>Registers a part that has waiters to fail.</summary>
    public void OnFatal(Action<Exception> fail)
    {
        lock (_lock)
        {
            if (_cause is null)
            {
                _waiters.Add(fail);
                return;
            }
        }

        fail(_cause);
    }

    /// <summary>Stops the store for <paramref name="fault"/>; only the first call counts.</summary>
    public void Fail(string stage, Exception fault)
    {
        StorageFaultException cause = fault as StorageFaultException
            ?? new StorageFaultException(FaultKind.Unavailable, $"The {stage} stage failed: {fault.Message}", fault);
        Action<Exception>[] waiters;
        lock (_lock)
        {
            if (_cause is not null || _stopping.IsCancellationRequested) return;
            _cause = cause;
            waiters = [.. _waiters];
        }

        LogFatal(cause, stage, cause.Kind, cause.Message);
        foreach (Action<Exception> fail in waiters) fail(cause);
        _fatal.TrySetResult(cause);
    }

    /// <summary>Throws the cause if there is one.</summary>
    public void ThrowIfFailed()
    {
        if (_cause is { } cause) throw new StorageFaultException(cause.Kind, cause.Message, cause);
    }

    /// <summary>Begins an orderly stop: background work ends, later faults no longer count.</summary>
    public void Stop() => _stopping.Cancel();

    public void Dispose() => _stopping.Dispose();

    [LoggerMessage(Level = LogLevel.Critical, Message = "The store stops ({Stage}, {Kind}): {Sentence}")]
    private partial void LogFatal(Exception cause, string stage, FaultKind kind, string sentence);
}
