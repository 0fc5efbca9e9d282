using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Pipeline.Blocks;
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
    private readonly bool _hasChunks;
    private readonly StructuredReply _chunks;
    private readonly int _headBytes;
    private readonly int _requestsMax;
    private readonly List<ArraySegment<byte>> _pieces = [];
    private int _used;
    private int _pieceStart;
    private long _outsideBytes;

    /// <param name="buffer">Where headers and small payloads go; owned by the batch.</param>
    /// <param name="requestsMax">Most replies in a batch: each of them finds room for its headers.</param>
    /// <param name="form">The form of all replies.</param>
    public ReplyBatch(BufferLease buffer, int requestsMax, ReplyForm form)
    {
        _buffer = buffer;
        _hasChunks = form != ReplyForm.Simple;
        _chunks = new StructuredReply(form == ReplyForm.Extended);
        _headBytes = HeadBytesMax(form);
        _requestsMax = requestsMax;
    }

    /// <summary>Most bytes that one reply takes beside its payload.</summary>
    public static int HeadBytesMax(ReplyForm form) => form == ReplyForm.Simple
        ? SimpleReply.Size
        : new StructuredReply(form == ReplyForm.Extended).HeadBytesMax;

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
        RequestHeader header = request.Header;
        Acknowledges |= error == NbdError.None && header.Command is not (NbdCommand.Read or NbdCommand.BlockStatus);
        if (_hasChunks)
        {
            AppendStructured(request, error);
            return;
        }

        SimpleReply.Write(Room, error, header.Cookie);
        _used += SimpleReply.Size;
        if (request.Payload is { } payload) AppendPayload(request, 0, payload.Length);
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

    private Span<byte> Room => _buffer.Span[_used..];

    // What is left beside the heads of this reply and of those that are still to come.
    private int FreeBytes => _buffer.Length - _used - ((_requestsMax - Requests.Count + 1) * _headBytes);

    private void AppendStructured(NbdRequest request, NbdError error)
    {
        RequestHeader header = request.Header;
        if (request.FailedRanges.Count > 0)
        {
            AppendDamaged(request, error);
        }
        else if (error != NbdError.None)
        {
            _used += _chunks.WriteError(Room, header, error);
        }
        else if (request.Payload is not { } payload)
        {
            _used += _chunks.WriteNone(Room, header);
        }
        else if (header.Command == NbdCommand.BlockStatus)
        {
            // Its chunks are whole, headers and all.
            AppendPayload(request, 0, payload.Length);
        }
        else if (request.RunCount == 0)
        {
            _used += _chunks.WriteData(Room, header, header.Offset, (uint)header.Length, isLast: true);
            AppendPayload(request, 0, payload.Length);
        }
        else
        {
            AppendRuns(request);
        }
    }

    private void AppendRuns(NbdRequest request)
    {
        RequestHeader header = request.Header;
        int at = 0;
        for (int i = 0; i < request.RunCount; i++)
        {
            int length = (int)request.Runs[i].Length;
            ulong offset = header.Offset + (ulong)at;
            bool isLast = i == request.RunCount - 1;
            if (request.Runs[i].IsHole)
            {
                _used += _chunks.WriteHole(Room, header, offset, (uint)length, isLast);
            }
            else
            {
                _used += _chunks.WriteData(Room, header, offset, (uint)length, isLast);
                AppendPayload(request, at, length);
            }

            at += length;
        }
    }

    // What was read is sent, and each failed part in its place as an error that names its first byte: what no chunk covers
    // is exactly what failed.
    private void AppendDamaged(NbdRequest request, NbdError error)
    {
        RequestHeader header = request.Header;
        if ((header.Flags & CommandFlags.DontFragment) != 0)
        {
            _used += _chunks.WriteErrorOffset(
                Room, header, error, (ulong)request.FailedRanges[0].Offset, isLast: true);
            return;
        }

        // Their number is not bounded by what the batch has room for.
        byte[] heads = new byte[((2 * request.FailedRanges.Count) + 1) * _chunks.ChunkBytesMax];
        long at = (long)header.Offset, end = at + (long)header.Length;
        int used = 0;
        EndPiece();
        foreach (BlockRange failed in request.FailedRanges)
        {
            AddWhole(BlockRange.Between(at, failed.Offset), isLast: false);
            AddPiece(_chunks.WriteErrorOffset(
                heads.AsSpan(used), header, error, (ulong)failed.Offset, isLast: failed.End == end));
            at = failed.End;
        }

        AddWhole(BlockRange.Between(at, end), isLast: true);

        void AddWhole(BlockRange whole, bool isLast)
        {
            if (whole.IsEmpty) return;
            AddPiece(_chunks.WriteData(
                heads.AsSpan(used), header, (ulong)whole.Offset, (uint)whole.Length, isLast));
            _pieces.Add(new ArraySegment<byte>(
                request.Payload!.Array, (int)(whole.Offset - (long)header.Offset), (int)whole.Length));
            _outsideBytes += whole.Length;
        }

        void AddPiece(int bytes)
        {
            _pieces.Add(new ArraySegment<byte>(heads, used, bytes));
            used += bytes;
        }
    }

    private void AppendPayload(NbdRequest request, int start, int length)
    {
        if (request.Borrowed.Count > 0)
        {
            AppendBorrowed(request);
            return;
        }

        BufferLease payload = request.Payload!;
        if (payload.Length <= CopiedBytesMax && length <= FreeBytes)
        {
            payload.Span.Slice(start, length).CopyTo(Room);
            _used += length;
            if (start + length == payload.Length) request.ReleasePayload();
            return;
        }

        EndPiece();
        _pieces.Add(new ArraySegment<byte>(payload.Array, start, length));
        _outsideBytes += length;
    }

    // What is lent is lent whole: such a reply has one run of data.
    private void AppendBorrowed(NbdRequest request)
    {
        // Nothing was read into it, and a client that is slow to read would keep both.
        request.Payload!.Release();
        request.Payload = null;
        EndPiece();
        foreach (BufferPiece piece in request.Borrowed)
        {
            _pieces.Add(new ArraySegment<byte>(piece.Lease.Array, piece.Start, piece.Length));
            _outsideBytes += piece.Length;
        }
    }

    private void EndPiece()
    {
        if (_used > _pieceStart) _pieces.Add(new ArraySegment<byte>(_buffer.Array, _pieceStart, _used - _pieceStart));
        _pieceStart = _used;
    }
}
