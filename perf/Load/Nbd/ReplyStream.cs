using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace ZeroFlow.Perf.Nbd;

/// <summary>The bytes of a connection that come from the server, cut into simple replies and read payloads.</summary>
internal sealed unsafe class ReplyStream(int socket) : IDisposable
{
    // Large enough for two 128 KiB replies in one system call, small enough to stay in a core's second-level cache.
    private const int BufferBytes = 256 * 1024 + NbdWire.SimpleReplyBytes;

    private readonly byte* _buffer = (byte*)NativeMemory.Alloc(BufferBytes);
    private int _start;
    private int _end;

    /// <summary>Receives what is there; waits for the first byte unless <paramref name="dontWait"/>.</summary>
    /// <exception cref="NbdException">The server hung up, or has been silent for too long.</exception>
    public void Receive(bool dontWait)
    {
        var kept = _end - _start;
        if (_start > 0 && kept > 0) Buffer.MemoryCopy(_buffer + _start, _buffer, BufferBytes, kept);
        _start = 0;
        _end = kept;

        while (true)
        {
            var count = NativeSocket.Receive(
                socket, _buffer + _end, BufferBytes - _end, dontWait ? NativeSocket.DontWait : 0);
            if (count > 0)
            {
                _end += (int)count;
                return;
            }

            if (count == 0) throw new NbdException("The server hung up with requests outstanding.");

            var error = Marshal.GetLastPInvokeError();
            if (error == NativeSocket.ErrorInterrupted) continue;
            if (error != NativeSocket.ErrorWouldBlock)
                throw new NbdException($"Receiving failed: {Marshal.GetPInvokeErrorMessage(error)}.");
            if (dontWait) return;
            throw new NbdException($"The server has stalled: no reply for {NbdSession.SilenceMax.TotalSeconds} s.");
        }
    }

    /// <summary>Takes the next reply header, if all of it is here.</summary>
    /// <exception cref="NbdException">It is not a simple reply.</exception>
    public bool TryTakeHeader(out uint error, out ulong cookie)
    {
        error = 0;
        cookie = 0;
        if (_end - _start < NbdWire.SimpleReplyBytes) return false;

        var header = new ReadOnlySpan<byte>(_buffer + _start, NbdWire.SimpleReplyBytes);
        if (BinaryPrimitives.ReadUInt32BigEndian(header) != NbdWire.SimpleReplyMagic)
            throw new NbdException("The server sent something that is not a simple reply.");

        error = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        cookie = BinaryPrimitives.ReadUInt64BigEndian(header[8..]);
        _start += NbdWire.SimpleReplyBytes;
        return true;
    }

    /// <summary>Takes up to <paramref name="lengthMax"/> bytes of payload; valid until the next receive.</summary>
    public ReadOnlySpan<byte> TakePayload(int lengthMax)
    {
        var length = Math.Min(lengthMax, _end - _start);
        var payload = new ReadOnlySpan<byte>(_buffer + _start, length);
        _start += length;
        return payload;
    }

    public void Dispose() => NativeMemory.Free(_buffer);
}
