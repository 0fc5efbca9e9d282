using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Transport;

/// <summary>A connection over TLS, 1.2 or later, on top of a socket. Owns both.</summary>
/// <remarks>
/// The receiver waits in the socket, on its own thread, as it does without TLS. Sent pieces are cut into full records, of
/// which several leave in one system call. The engine lets one thread receive and another one send.
/// </remarks>
internal sealed class TlsTransport : IWireTransport
{
    // As much as one record holds. Each has about 22 bytes and a call of the cipher of its own, so that a header and its
    // payload had better share one.
    private const int RecordBytes = 16 * 1024;

    // Four full records: a batch of replies is full at 64 KiB.
    private const int SealedBytes = 80 * 1024;

    private readonly SocketTransport _socket;
    private readonly BufferLease _sealed;
    private readonly BufferLease _record;
    private readonly TlsWire _wire;
    private readonly SslStream _tls;
    private int _recordUsed;
    private volatile bool _isReceiveEnded;
    private bool _isDisposed;

    private TlsTransport(SocketTransport socket, BufferPool pool)
    {
        _socket = socket;
        _sealed = pool.Rent(SealedBytes);
        _record = pool.Rent(RecordBytes);
        _wire = new TlsWire(socket, _sealed.Memory);
        _tls = new SslStream(_wire, leaveInnerStreamOpen: true);
    }

    /// <summary>The version of the protocol and whom the client's certificate is for, in words.</summary>
    public string Peer
    {
        get
        {
            string version = _tls.SslProtocol == SslProtocols.Tls12 ? "TLS 1.2" : "TLS 1.3";
            return _tls.RemoteCertificate is { } client ? $"{version}, client '{client.Subject}'" : version;
        }
    }

    /// <summary>
    /// The client's certificate, which was verified; null for a client that was not asked for one. To be disposed by nobody.
    /// </summary>
    public X509Certificate2? ClientCertificate => _tls.RemoteCertificate as X509Certificate2;

    /// <summary>
    /// Does the server's part of the handshake, blocking. From then on the socket belongs to the transport.
    /// </summary>
    /// <param name="socket">The connection; the client begins TLS on it now.</param>
    /// <param name="terms">The server's certificate, and what it wants of the client's.</param>
    /// <param name="pool">Lends buffers until the transport is disposed.</param>
    /// <exception cref="AuthenticationException">The client left, broke TLS, or is not let in.</exception>
    public static TlsTransport Accept(SocketTransport socket, SslServerAuthenticationOptions terms, BufferPool pool)
    {
        var transport = new TlsTransport(socket, pool);
        try
        {
            transport._tls.AuthenticateAsServer(terms);
            transport._wire.Gathers = true;
            return transport;
        }
        catch (Exception fault)
        {
            transport.DisposeEngine();
            if (fault is not (AuthenticationException or IOException or SocketException or CryptographicException)) throw;
            string reason = (fault.InnerException ?? fault).Message.ReplaceLineEndings(" ");
            throw new AuthenticationException(reason, fault);
        }
    }

    public int Receive(Span<byte> destination, bool isExpected)
    {
        _wire.IsExpected = isExpected;
        try
        {
            return _tls.Read(destination);
        }
        catch (IOException fault)
        {
            // What ends the receiver may do so in the middle of a record.
            return _isReceiveEnded ? 0 : throw Broken(fault);
        }
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _tls.Write(bytes);
            _wire.SendGathered();
        }
        catch (IOException fault)
        {
            throw Broken(fault);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await _tls.WriteAsync(bytes);
            await _wire.SendGatheredAsync();
        }
        catch (IOException fault)
        {
            throw Broken(fault);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask SendAsync(List<ArraySegment<byte>> pieces)
    {
        try
        {
            foreach (ArraySegment<byte> piece in pieces)
            {
                for (ReadOnlyMemory<byte> rest = piece; !rest.IsEmpty;)
                {
                    int taken = Take(rest.Span);
                    if (_recordUsed == RecordBytes) await SealAsync();
                    rest = rest[taken..];
                }
            }

            pieces.Clear();
            if (_recordUsed > 0) await SealAsync();
            await _wire.SendGatheredAsync();
        }
        catch (IOException fault)
        {
            throw Broken(fault);
        }
    }

    public void EndReceive()
    {
        _isReceiveEnded = true;
        _socket.EndReceive();
    }

    public void EndSend()
    {
        try
        {
            // It only gathers. A peer that does not read must not hold up the end of its connection.
            _tls.ShutdownAsync().GetAwaiter().GetResult();
        }
        catch (Exception fault) when (fault is IOException or InvalidOperationException or AuthenticationException)
        {
            // TLS is over already; the socket still is to be ended.
        }

        _socket.EndSend(_wire.Gathered);
    }

    public void Abort() => _socket.Abort();

    public void Dispose()
    {
        DisposeEngine();
        _socket.Dispose();
    }

    private static SocketException Broken(IOException fault) => fault.InnerException as SocketException
        ?? new SocketException((int)SocketError.ConnectionAborted, (fault.InnerException ?? fault).Message);

    private int Take(ReadOnlySpan<byte> bytes)
    {
        int taken = Math.Min(bytes.Length, RecordBytes - _recordUsed);
        bytes[..taken].CopyTo(_record.Span[_recordUsed..]);
        _recordUsed += taken;
        return taken;
    }

    private ValueTask SealAsync()
    {
        ReadOnlyMemory<byte> full = _record.Memory[.._recordUsed];
        _recordUsed = 0;
        return _tls.WriteAsync(full);
    }

    private void DisposeEngine()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _tls.Dispose();
        _wire.Dispose();
        _sealed.Release();
        _record.Release();
    }
}
