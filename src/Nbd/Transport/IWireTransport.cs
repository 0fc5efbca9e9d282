namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// The bytes of one connection, in both directions; knows nothing of NBD. One thread receives, one caller at a time
/// sends, anybody may end or abort.
/// </summary>
internal interface IWireTransport : IDisposable
{
    /// <summary>Blocks until some bytes are there and receives them; zero when the peer has finished.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The connection broke.</exception>
    int Receive(Span<byte> destination);

    /// <summary>Blocks until all of <paramref name="bytes"/> are handed to the system. For the handshake.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The connection broke.</exception>
    void Send(ReadOnlySpan<byte> bytes);

    /// <summary>Hands <paramref name="bytes"/> to the system, waiting without a thread while the peer does not read.</summary>
    ValueTask SendAsync(ReadOnlyMemory<byte> bytes);

    /// <summary>Like <see cref="SendAsync(ReadOnlyMemory{byte})"/>, for pieces that lie in several arrays. Consumes the list.</summary>
    ValueTask SendAsync(List<ArraySegment<byte>> pieces);

    /// <summary>Makes the receiver see the end of the stream, while sending goes on.</summary>
    void EndReceive();

    /// <summary>Tells the peer that nothing more will come, in a way that does not take back what was sent.</summary>
    void EndSend();

    /// <summary>Breaks the connection: whoever receives or sends comes back at once.</summary>
    void Abort();
}
