using System.Runtime.CompilerServices;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// The only sender of an attached connection. Replies are queued whole, from any thread; who finds no sender at work
/// becomes the sender and sends until the queue is empty, everything that has gathered at once.
/// </summary>
/// <remarks>
/// A request keeps its place in the <see cref="RequestWindow"/> until its reply is handed to the system, which bounds
/// this queue: a client that does not read replies soon finds that its requests are not read, either.
/// </remarks>
internal sealed class ReplyQueue : IBurstListener
{
    // Two of them, and a receive buffer, for each connection. Holds about 30 replies of 4 KiB.
    private const int CopyBytes = 124 * 1024;

    private readonly object _gate = new();
    private readonly IWireTransport _transport;
    private readonly RequestWindow _window;
    private readonly Func<ValueTask> _confirm;
    private readonly Action<Exception> _onBroken;
    private readonly Action _resume;
    private ReplyBatch _filling;
    private ReplyBatch _sending;
    private ValueTaskAwaiter _send;
    private bool _isSending;
    private bool _isBroken;

    /// <param name="transport">Where replies go.</param>
    /// <param name="window">Where answered requests leave from.</param>
    /// <param name="pool">Lends two buffers until <see cref="Close"/>.</param>
    /// <param name="requestsMax">Most requests in the window.</param>
    /// <param name="form">The form of all replies.</param>
    /// <param name="confirm">Asked whether an acknowledgement may still be told; it fails when it may not.</param>
    /// <param name="onBroken">Told once why nothing can be sent any more.</param>
    public ReplyQueue(
        IWireTransport transport, RequestWindow window, BufferPool pool, int requestsMax, ReplyForm form,
        Func<ValueTask> confirm, Action<Exception> onBroken)
    {
        _transport = transport;
        _window = window;
        _confirm = confirm;
        _onBroken = onBroken;
        _resume = Resume;
        int bytes = CopyBytes + (requestsMax * ReplyBatch.HeadBytesMax(form));
        _filling = new ReplyBatch(pool.Rent(bytes), requestsMax, form);
        _sending = new ReplyBatch(pool.Rent(bytes), requestsMax, form);
    }

    /// <summary>
    /// Queues a reply; the request is not used any more afterwards. With <paramref name="defer"/> the caller promises a
    /// <see cref="Flush"/> soon.
    /// </summary>
    public void Add(NbdRequest request, NbdError error, bool defer)
    {
        bool becomesSender;
        lock (_gate)
        {
            if (_isBroken)
            {
                request.ReleasePayload();
                _window.Leave(request);
                return;
            }

            _filling.Append(request, error);
            becomesSender = (!defer || _filling.IsFull) && TryBeginSend();
        }

        if (becomesSender) Pump();
    }

    /// <summary>Sends what is queued, unless somebody does so already.</summary>
    public void Flush()
    {
        lock (_gate)
        {
            if (!TryBeginSend()) return;
        }

        Pump();
    }

    /// <inheritdoc/>
    public void OnBurstEnd() => Flush();

    /// <summary>
    /// Waits for a send under way, drops what is left, and returns the buffers. Called once, by the owner.
    /// </summary>
    public void Close()
    {
        lock (_gate)
        {
            while (_isSending) Monitor.Wait(_gate);
            _isBroken = true;
            Drop(_filling);
        }

        _filling.Release();
        _sending.Release();
    }

    private bool TryBeginSend()
    {
        if (_isSending || _isBroken || _filling.Requests.Count == 0) return false;
        (_filling, _sending) = (_sending, _filling);
        _isSending = true;
        return true;
    }

    private void Pump()
    {
        do
        {
            // Between an operation's end and this moment the process may have stood still for long: the device is asked
            // right before the bytes go out.
            ValueTask confirmed = _sending.Acknowledges ? _confirm() : ValueTask.CompletedTask;
            BeginSend(confirmed.IsCompletedSuccessfully ? SendAsync() : ConfirmAndSendAsync(confirmed));
            if (!_send.IsCompleted)
            {
                _send.UnsafeOnCompleted(_resume);
                return;
            }
        }
        while (EndSend());
    }

    private ValueTask SendAsync() => _sending.TryGetSinglePiece(out ReadOnlyMemory<byte> bytes)
        ? _transport.SendAsync(bytes)
        : _transport.SendAsync(_sending.TakePieces());

    private async ValueTask ConfirmAndSendAsync(ValueTask confirmed)
    {
        await confirmed;
        await SendAsync();
    }

    private void BeginSend(ValueTask send) => _send = send.GetAwaiter();

    private void Resume()
    {
        if (EndSend()) Pump();
    }

    /// <summary>Finishes the send under way; true when another one began.</summary>
    private bool EndSend()
    {
        Exception? fault = null;
        try
        {
            _send.GetResult();
        }
        catch (Exception caught)
        {
            fault = caught;
        }

        Drop(_sending);
        if (fault is not null)
        {
            lock (_gate)
            {
                _isBroken = true;
                Drop(_filling);
            }

            _onBroken(fault);
        }

        lock (_gate)
        {
            _isSending = false;
            if (TryBeginSend()) return true;
            Monitor.PulseAll(_gate);
            return false;
        }
    }

    private void Drop(ReplyBatch batch)
    {
        batch.Reset();
        _window.Leave(batch.Requests);
        batch.Requests.Clear();
    }
}
