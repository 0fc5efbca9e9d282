using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// Bounds what one connection has in flight, in requests and in bytes. The receive thread enters and, when there is
/// no room, waits: not reading is the only backpressure that NBD has. Whoever finishes requests leaves.
/// </summary>
internal sealed class RequestWindow
{
    private readonly object _gate = new();
    private readonly Stack<NbdRequest> _spare = new();
    private readonly Action<NbdRequest> _onOperationDone;
    private readonly NbdServerOptions _options;
    private readonly ByteBudget _shared;
    private readonly CancellationToken _aborted;
    private int _requests;
    private long _bytes;
    private long _reservedBytes;
    private bool _isWaited;
    private CancellationTokenSource? _sharedWait;
    private long _sharedWaitBytes;

    /// <param name="options">The bounds.</param>
    /// <param name="shared">The budget of the server, for what does not fit the connection's own share.</param>
    /// <param name="onOperationDone">Continues a request whose operation completed later.</param>
    /// <param name="aborted">Ends every wait.</param>
    public RequestWindow(
        NbdServerOptions options, ByteBudget shared, Action<NbdRequest> onOperationDone, CancellationToken aborted)
    {
        _options = options;
        _shared = shared;
        _onOperationDone = onOperationDone;
        _aborted = aborted;
    }

    /// <summary>Lets a request with <paramref name="bytes"/> of payload memory in, if there is room now.</summary>
    public NbdRequest? TryEnter(long bytes)
    {
        lock (_gate)
        {
            if (!Fits(bytes)) return null;
            if (FitsOwnShare(bytes)) return Take(bytes, isReserved: true);
        }

        if (!_shared.TryTake(bytes)) return null;
        lock (_gate) return Take(bytes, isReserved: false);
    }

    /// <summary>Lets a request in, blocking the calling thread until there is room.</summary>
    /// <exception cref="OperationCanceledException">The connection was aborted.</exception>
    public NbdRequest Enter(long bytes)
    {
        while (true)
        {
            lock (_gate)
            {
                while (!Fits(bytes)) WaitForLeave();
                if (FitsOwnShare(bytes)) return Take(bytes, isReserved: true);
                _sharedWait = CancellationTokenSource.CreateLinkedTokenSource(_aborted);
                _sharedWaitBytes = bytes;
            }

            if (!TryTakeShared(_sharedWait, bytes)) continue;
            lock (_gate) return Take(bytes, isReserved: false);
        }
    }

    /// <summary>Lets <paramref name="requests"/> out: their replies are gone, and they are not used any more.</summary>
    public void Leave(List<NbdRequest> requests)
    {
        long sharedBytes = 0;
        lock (_gate)
        {
            foreach (NbdRequest request in requests) sharedBytes += Return(request);
            WakeWaiter();
        }

        if (sharedBytes > 0) _shared.Return(sharedBytes);
    }

    /// <inheritdoc cref="Leave(List{NbdRequest})"/>
    public void Leave(NbdRequest request)
    {
        long sharedBytes;
        lock (_gate)
        {
            sharedBytes = Return(request);
            WakeWaiter();
        }

        if (sharedBytes > 0) _shared.Return(sharedBytes);
    }

    /// <summary>Blocks the calling thread until no request is in flight.</summary>
    public void WaitUntilEmpty()
    {
        lock (_gate)
        {
            _isWaited = true;
            while (_requests > 0) Monitor.Wait(_gate);
            _isWaited = false;
        }
    }

    /// <summary>Lets a thread that waits for room see that the connection was aborted.</summary>
    public void Wake()
    {
        lock (_gate) Monitor.PulseAll(_gate);
    }

    // A request that is larger than the whole window goes in alone, instead of waiting for ever.
    private bool Fits(long bytes) => _requests < _options.RequestsInFlightMax
        && (_bytes == 0 || bytes <= _options.ConnectionPayloadBytesMax - _bytes);

    private bool FitsOwnShare(long bytes) => bytes <= _options.ConnectionReservedBytes - _reservedBytes;

    // False when the connection's own share became free first. The server's budget may be in the hands of clients that
    // never read: who waits in that line must not be held up by them once it could go on without.
    private bool TryTakeShared(CancellationTokenSource wait, long bytes)
    {
        try
        {
            _shared.TakeAsync(bytes, wait.Token).AsTask().GetAwaiter().GetResult();
            return true;
        }
        catch (OperationCanceledException)
        {
            _aborted.ThrowIfCancellationRequested();
            return false;
        }
        finally
        {
            lock (_gate) _sharedWait = null;
            wait.Dispose();
        }
    }

    private void WakeWaiter()
    {
        if (_isWaited) Monitor.PulseAll(_gate);
        if (_sharedWait is not null && FitsOwnShare(_sharedWaitBytes)) _sharedWait.Cancel();
    }

    private void WaitForLeave()
    {
        _aborted.ThrowIfCancellationRequested();
        _isWaited = true;
        Monitor.Wait(_gate);
        _isWaited = false;
    }

    private NbdRequest Take(long bytes, bool isReserved)
    {
        // Only the receive thread enters, so what was checked before a look at the shared budget still holds.
        _requests++;
        _bytes += bytes;
        if (isReserved) _reservedBytes += bytes;
        if (!_spare.TryPop(out NbdRequest? request)) request = new NbdRequest(_onOperationDone);
        request.WindowBytes = bytes;
        request.SharedBytes = isReserved ? 0 : bytes;
        return request;
    }

    private long Return(NbdRequest request)
    {
        _requests--;
        _bytes -= request.WindowBytes;
        _reservedBytes -= request.WindowBytes - request.SharedBytes;
        _spare.Push(request);
        return request.SharedBytes;
    }
}
