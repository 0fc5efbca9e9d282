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
        bool isReserved;
        lock (_gate)
        {
            if (!Fits(bytes)) return null;
            isReserved = bytes <= _options.ConnectionReservedBytes - _reservedBytes;
            if (isReserved) return Take(bytes, isReserved);
        }

        if (!_shared.TryTake(bytes)) return null;
        lock (_gate) return Take(bytes, isReserved);
    }

    /// <summary>Lets a request in, blocking the calling thread until there is room.</summary>
    /// <exception cref="OperationCanceledException">The connection was aborted.</exception>
    public NbdRequest Enter(long bytes)
    {
        bool isReserved;
        lock (_gate)
        {
            while (!Fits(bytes)) WaitForLeave();
            isReserved = bytes <= _options.ConnectionReservedBytes - _reservedBytes;
            if (isReserved) return Take(bytes, isReserved);
        }

        _shared.TakeAsync(bytes, _aborted).AsTask().GetAwaiter().GetResult();
        lock (_gate) return Take(bytes, isReserved);
    }

    /// <summary>Lets <paramref name="requests"/> out: their replies are gone, and they are not used any more.</summary>
    public void Leave(List<NbdRequest> requests)
    {
        long sharedBytes = 0;
        lock (_gate)
        {
            foreach (NbdRequest request in requests) sharedBytes += Return(request);
            if (_isWaited) Monitor.PulseAll(_gate);
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
            if (_isWaited) Monitor.PulseAll(_gate);
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
