using System.Buffers.Binary;
using System.Runtime.InteropServices;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Nbd;

/// <summary>
/// Requests on their way out, as pieces of memory for a gathered send: headers from its own native memory, payloads
/// from where they are. Room for one request of each lane; nothing is copied. Single-threaded.
/// </summary>
internal sealed unsafe class SendQueue : IDisposable
{
    private const int HeaderStride = 32;
    private const int PiecesPerSendMax = 256;

    private readonly byte* _headers;
    private readonly NativeSocket.Piece* _pieces;
    private readonly int _capacity;
    private int _head;
    private int _tail;

    public SendQueue(int lanes)
    {
        // At most two pieces of each lane wait; twice that much room makes the moves to the front rare.
        _capacity = lanes * 4;
        _headers = (byte*)NativeMemory.AllocZeroed((nuint)(lanes * HeaderStride));
        _pieces = (NativeSocket.Piece*)NativeMemory.AllocZeroed((nuint)(_capacity * sizeof(NativeSocket.Piece)));
    }

    public bool IsEmpty => _head == _tail;

    /// <summary>Queues a request. <paramref name="payload"/> must stay valid and unchanged until the reply.</summary>
    public void Add(int lane, in BlockRequest request, ulong cookie, byte* payload)
    {
        var header = new Span<byte>(_headers + (lane * HeaderStride), NbdWire.RequestHeaderBytes);
        BinaryPrimitives.WriteUInt32BigEndian(header, NbdWire.RequestMagic);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], (ushort)request.Flags);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)request.Command);
        BinaryPrimitives.WriteUInt64BigEndian(header[8..], cookie);
        BinaryPrimitives.WriteInt64BigEndian(header[16..], request.Offset);
        BinaryPrimitives.WriteInt32BigEndian(header[24..], request.Length);
        Append(_headers + (lane * HeaderStride), NbdWire.RequestHeaderBytes);
        if (request.Command == NbdCommand.Write) Append(payload, request.Length);
    }

    /// <summary>Sends as much as the socket takes without waiting.</summary>
    /// <exception cref="NbdException">The connection is broken.</exception>
    public void Send(int socket)
    {
        while (_head < _tail)
        {
            var message = new NativeSocket.MessageHeader
            {
                Pieces = _pieces + _head,
                PieceCount = Math.Min(_tail - _head, PiecesPerSendMax),
            };
            var sent = NativeSocket.SendMessage(socket, &message, NativeSocket.DontWait | NativeSocket.NoSignal);
            if (sent < 0)
            {
                var error = Marshal.GetLastPInvokeError();
                if (error == NativeSocket.ErrorWouldBlock) return;
                if (error == NativeSocket.ErrorInterrupted) continue;
                throw new NbdException($"Sending failed: {Marshal.GetPInvokeErrorMessage(error)}.");
            }

            Advance(sent);
        }

        _head = _tail = 0;
    }

    public void Dispose()
    {
        NativeMemory.Free(_headers);
        NativeMemory.Free(_pieces);
    }

    private void Append(byte* start, int length)
    {
        if (_tail == _capacity)
        {
            var waiting = _tail - _head;
            var room = new Span<NativeSocket.Piece>(_pieces, _capacity);
            room.Slice(_head, waiting).CopyTo(room);
            _head = 0;
            _tail = waiting;
        }

        _pieces[_tail].Start = start;
        _pieces[_tail].Length = length;
        _tail++;
    }

    private void Advance(nint sent)
    {
        while (sent > 0)
        {
            ref var piece = ref _pieces[_head];
            var taken = Math.Min(sent, piece.Length);
            piece.Start += taken;
            piece.Length -= taken;
            sent -= taken;
            if (piece.Length == 0) _head++;
        }
    }
}
