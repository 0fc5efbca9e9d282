using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// One fetch of one frame, shared by all who want the frame meanwhile. Each who joined gets a reference of its own, or
/// the error. Thread-safe.
/// </summary>
internal sealed class FrameFlight(FrameRef frame, int waiters)
{
    private readonly TaskCompletionSource<BufferLease> _landing =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private BufferLease? _result;
    private int _waiters = waiters;
    private bool _isDone;

    /// <summary>The frame.</summary>
    public FrameRef Frame { get; } = frame;

    /// <summary>Adds a waiter, who must then either wait or leave.</summary>
    /// <returns>False when the flight is over.</returns>
    public bool TryJoin()
    {
        lock (_lock)
        {
            if (_isDone) return false;
            _waiters++;
            return true;
        }
    }

    /// <summary>Waits for the plain bytes. A waiter who gives up has left, and the flight goes on without it.</summary>
    public async ValueTask<BufferLease> WaitAsync(CancellationToken cancellation)
    {
        try
        {
            return await _landing.Task.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            Leave();
            throw;
        }
    }

    /// <summary>Takes back one <see cref="TryJoin"/> that was not followed by <see cref="WaitAsync"/>.</summary>
    public void Leave()
    {
        lock (_lock)
        {
            if (!_isDone)
            {
                _waiters--;
                return;
            }
        }

        _result?.Release();
    }

    /// <summary>Ends the flight with <paramref name="plain"/>, of which the caller keeps its own reference.</summary>
    public void Succeed(BufferLease plain)
    {
        lock (_lock)
        {
            if (_isDone) return;
            _isDone = true;
            _result = plain;
            for (int i = 0; i < _waiters; i++) plain.AddReference();
        }

        _landing.SetResult(plain);
    }

    /// <summary>Ends the flight with an error.</summary>
    /// <returns>False when it was over already.</returns>
    public bool Fail(Exception fault)
    {
        lock (_lock)
        {
            if (_isDone) return false;
            _isDone = true;
        }

        _landing.SetException(fault);
        // Counts as observed even when everybody has left.
        _ = _landing.Task.Exception;
        return true;
    }
}
