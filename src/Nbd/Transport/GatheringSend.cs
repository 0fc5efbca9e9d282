using System.Net.Sockets;
using System.Threading.Tasks.Sources;

namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// A send of several pieces in one system call that can be awaited and allocates nothing. One at a time.
/// </summary>
/// <remarks>The socket's own method for lists of buffers makes a task for each call.</remarks>
internal sealed class GatheringSend() : SocketAsyncEventArgs(true), IValueTaskSource<int>
{
    private ManualResetValueTaskSourceCore<int> _core;

    /// <summary>Sends what fits; the result says how many bytes that was.</summary>
    public ValueTask<int> SendAsync(Socket socket, List<ArraySegment<byte>> pieces)
    {
        _core.Reset();
        BufferList = pieces;
        if (socket.SendAsync(this)) return new ValueTask<int>(this, _core.Version);
        return SocketError == SocketError.Success
            ? new ValueTask<int>(BytesTransferred)
            : ValueTask.FromException<int>(new SocketException((int)SocketError));
    }

    public int GetResult(short token) => _core.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    protected override void OnCompleted(SocketAsyncEventArgs e)
    {
        if (SocketError == SocketError.Success) _core.SetResult(BytesTransferred);
        else _core.SetException(new SocketException((int)SocketError));
    }
}
