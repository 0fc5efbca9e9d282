using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace ZeroFlow.Nbd.Transport;

/// <summary>A connection over a stream socket, TCP or Unix.</summary>
/// <remarks>
/// The receiver waits in poll(2) on a thread of its own. Handing each request from the runtime's socket thread to the
/// thread pool costs about half of what a cached 4 KiB read costs at depth 1, and a server has few NBD connections.
/// The socket is non-blocking, so that a sender whose peer does not read waits without a thread.
/// </remarks>
internal sealed class SocketTransport : IWireTransport
{
    private const int DiscardedReceivesMax = 64;

    // What does not fit into the socket's buffer at once, and how long the connection's own thread waits for room there
    // before it leaves the rest to the runtime: a client that reads makes room sooner than another thread would be awake,
    // and one that does not read must not keep its requests from being read.
    private const int LargeBytes = 256 * 1024;
    private const int PatienceMicroseconds = 1000;

    private readonly Socket _socket;
    private readonly GatheringSend _gathering = new();

    public SocketTransport(Socket socket)
    {
        _socket = socket;
        socket.Blocking = false;
        try
        {
            Remote = socket.RemoteEndPoint;
        }
        catch (SocketException)
        {
            // The first receive will find out, too.
        }

        if (socket.ProtocolType != ProtocolType.Tcp) return;
        socket.NoDelay = true;

        // A client whose machine vanished is noticed after about two minutes, also when nothing is being sent.
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 60);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 15);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 4);
    }

    /// <summary>Where the peer is; null when it has left already.</summary>
    public EndPoint? Remote { get; }

    public int Receive(Span<byte> destination, bool isExpected)
    {
        // A new request is rarely there already, and a receive that finds nothing is a wasted call.
        bool waitsFirst = !isExpected;
        while (true)
        {
            if (waitsFirst) _socket.Poll(Timeout.Infinite, SelectMode.SelectRead);
            int received = _socket.Receive(destination, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success) return received;
            if (error != SocketError.WouldBlock) throw new SocketException((int)error);
            waitsFirst = true;
        }
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = _socket.Send(bytes, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success)
                bytes = bytes[sent..];
            else if (error == SocketError.WouldBlock)
                _socket.Poll(Timeout.Infinite, SelectMode.SelectWrite);
            else
                throw new SocketException((int)error);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int sent = await _socket.SendAsync(bytes, SocketFlags.None);
            bytes = bytes[sent..];
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(List<ArraySegment<byte>> pieces)
    {
        if (!Thread.CurrentThread.IsThreadPoolThread && IsLarge(pieces)) SendWhileRead(pieces);
        while (pieces.Count > 0)
        {
            int sent = await _gathering.SendAsync(_socket, pieces);
            Consume(pieces, sent);
        }
    }

    public void EndReceive() => Shutdown(SocketShutdown.Receive);

    public void EndSend() => EndSend(default);

    /// <summary>Like <see cref="EndSend()"/>, with last words that go out if the system takes them at once.</summary>
    public void EndSend(ReadOnlySpan<byte> lastWords)
    {
        if (!lastWords.IsEmpty) _socket.Send(lastWords, SocketFlags.None, out _);
        Shutdown(SocketShutdown.Send);

        // Closing a TCP socket that holds unread bytes resets the connection, and the peer then loses replies that it
        // has not read yet.
        Span<byte> discarded = stackalloc byte[4096];
        for (int i = 0; i < DiscardedReceivesMax; i++)
        {
            int received = _socket.Receive(discarded, SocketFlags.None, out SocketError error);
            if (received == 0 || error != SocketError.Success) return;
        }
    }

    public void Abort() => Shutdown(SocketShutdown.Both);

    public void Dispose()
    {
        _gathering.Dispose();
        _socket.Dispose();
    }

    private static bool IsLarge(List<ArraySegment<byte>> pieces)
    {
        int bytes = 0;
        foreach (ArraySegment<byte> piece in pieces) bytes += piece.Count;
        return bytes >= LargeBytes;
    }

    /// <summary>Sends as long as the peer takes it; what is left stays in <paramref name="pieces"/>.</summary>
    private void SendWhileRead(List<ArraySegment<byte>> pieces)
    {
        while (pieces.Count > 0)
        {
            int sent = NativeSend.TrySend(_socket, pieces);
            if (sent > 0) Consume(pieces, sent);
            else if (sent < 0 || !_socket.Poll(PatienceMicroseconds, SelectMode.SelectWrite)) return;
        }
    }

    private static void Consume(List<ArraySegment<byte>> pieces, int sent)
    {
        int whole = 0;
        while (whole < pieces.Count && sent >= pieces[whole].Count) sent -= pieces[whole++].Count;
        pieces.RemoveRange(0, whole);
        if (sent > 0) pieces[0] = pieces[0][sent..];
    }

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            _socket.Shutdown(how);
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            // The peer or the owner was faster; the connection is as closed as it was meant to be.
        }
    }
}
