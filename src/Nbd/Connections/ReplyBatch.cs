using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// Replies that leave together. Headers and small payloads are copied into one buffer; large payloads stay where they
/// are and are sent from there. Guarded by its <see cref="ReplyQueue"/>.
/// </summary>
internal sealed class ReplyBatch
{
    /// <summary>Largest payload that is copied, in bytes.</summary>
    /// <remarks>
    /// Copying 4 KiB that was just written costs less than one more piece in a gathering send, and frees the buffer
    /// for the next read while it is still in the processor's cache. Beyond about 16 KiB the copy costs more.
    /// </remarks>
    private const int CopiedBytesMax = 16 * 1024;

    // Enough for one system call to be worth it, and little enough to leave while it is in the processor's cache and
    // the peer has something to do.
    private const int FullBytes = 64 * 1024;

    private readonly BufferLease _buffer;
    private readonly int _headerBytesReserved;
    private readonly List<ArraySegment<byte>> _pieces = [];
    private int _used;
    private int _pieceStart;
    private long _outsideBytes;

    /// <param name="buffer">Where headers and small payloads go; owned by the batch.</param>
    /// <param name="requestsMax">Most replies in a batch: each of them finds room for its header.</param>
    public ReplyBatch(BufferLease buffer, int requestsMax)
    {
        _buffer = buffer;
        _headerBytesReserved = requestsMax * SimpleReply.Size;
    }

    /// <summary>True when it is better to send now than to gather more.</summary>
    public bool IsFull => _used + _outsideBytes >= FullBytes;

    /// <summary>True when a reply here tells a client that something was done.</summary>
    public bool Acknowledges { get; private set; }

    /// <summary>The requests that are answered here.</summary>
    public List<NbdRequest> Requests { get; } = [];

    /// <summary>Appends a whole reply, with the payload of the request unless it failed.</summary>
    public void Append(NbdRequest request, NbdError error)
    {
        Requests.Add(request);
        Acknowledges |= error == NbdError.None && request.Header.Command != NbdCommand.Read;
        SimpleReply.Write(_buffer.Array.AsSpan(_used, SimpleReply.Size), error, request.Header.Cookie);
        _used += SimpleReply.Size;
        if (request.Payload is not { } payload) return;

        if (payload.Length <= CopiedBytesMax && payload.Length <= FreeBytes)
        {
            payload.Span.CopyTo(_buffer.Array.AsSpan(_used));
            _used += payload.Length;
            request.ReleasePayload();
            return;
        }

        EndPiece();
        _pieces.Add(new ArraySegment<byte>(payload.Array, 0, payload.Length));
        _outsideBytes += payload.Length;
    }

    /// <summary>The batch as one piece of memory, when it has no payload outside its buffer.</summary>
    public bool TryGetSinglePiece(out ReadOnlyMemory<byte> bytes)
    {
        bytes = new ReadOnlyMemory<byte>(_buffer.Array, 0, _used);
        return _pieces.Count == 0;
    }

    /// <summary>The batch as pieces in order. Called once.</summary>
    public List<ArraySegment<byte>> TakePieces()
    {
        EndPiece();
        return _pieces;
    }

    /// <summary>
    /// Releases what the requests still hold and empties the batch, except for <see cref="Requests"/>.
    /// </summary>
    public void Reset()
    {
        foreach (NbdRequest request in Requests) request.ReleasePayload();
        _pieces.Clear();
        Acknowledges = false;
        _used = _pieceStart = (int)(_outsideBytes = 0);
    }

    /// <summary>Returns the buffer. The batch is not used any more.</summary>
    public void Release() => _buffer.Release();

    private int FreeBytes => _buffer.Length - _used - (_headerBytesReserved - (Requests.Count * SimpleReply.Size));

    private void EndPiece()
    {
        if (_used > _pieceStart) _pieces.Add(new ArraySegment<byte>(_buffer.Array, _pieceStart, _used - _pieceStart));
        _pieceStart = _used;
    }
}
