using System.Net.Sockets;
using System.Security.Authentication;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>One client: handshake, transmission, and an end that leaves nothing behind. Owns its transport.</summary>
internal sealed class NbdConnection : IDisposable
{
    // Several hundred requests without payload, or a dozen small writes, in one receive. Larger would only mean that
    // more of a large write is copied instead of being received into its place.
    private const int ReceiveBytes = 64 * 1024;

    private readonly SocketTransport _socket;
    private readonly ConnectionServices _services;
    private readonly CancellationTokenSource _aborted = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ClientIdentity _client;
    private IWireTransport _transport;
    private ClientIdentity? _secured;
    private Transmission? _transmission;
    private volatile NbdClient? _attached;
    private volatile Fate _fate;

    public NbdConnection(long number, SocketTransport socket, ConnectionServices services)
    {
        Number = number;
        _socket = socket;
        _transport = socket;
        _client = ClientIdentity.At(socket.Remote);
        _services = services;
    }

    /// <summary>Counts up with every connection of a server.</summary>
    public long Number { get; }

    /// <summary>Its client has not been given an export yet.</summary>
    public bool IsChoosing => _fate == Fate.Choosing;

    /// <summary>The connection was aborted to make room for another one.</summary>
    public bool IsDisplaced => _fate == Fate.Displaced;

    /// <summary>Completes, always with success, when nothing of the connection is left.</summary>
    public Task Ended => _ended.Task;

    /// <summary>True once the client has attached an export.</summary>
    public bool IsAttached => Volatile.Read(ref _transmission) is not null;

    /// <summary>
    /// Marks the connection as one that makes room; false when it does already, or when its client has an export or is about
    /// to be told so. The caller then aborts it.
    /// </summary>
    public bool TryDisplace() => Interlocked.CompareExchange(ref _fate, Fate.Displaced, Fate.Choosing) == Fate.Choosing;

    /// <summary>Who has attached what; null until then.</summary>
    public NbdClient? Client => _attached;

    /// <summary>Serves the client on the calling thread until the connection has ended. Never throws.</summary>
    public void Run()
    {
        BufferLease receiveLease = _services.Pool.Rent(ReceiveBytes);
        try
        {
            Serve(new ReceiveBuffer(_transport, receiveLease));
            _transport.EndSend();
            _services.Log.Ended(Number);
        }
        catch (Exception fault)
        {
            if (fault is NbdProtocolException or SocketException or OperationCanceledException or StorageFaultException)
                _services.Log.Dropped(Number, fault.Message);
            else
                _services.Log.ConnectionFailed(Number, fault);
        }
        finally
        {
            receiveLease.Release();
            _transport.Dispose();
            _ended.SetResult();
        }
    }

    /// <summary>
    /// Ends the connection as soon as it has nothing under way. For a server that stops; from any thread.
    /// </summary>
    public void EndWhenIdle() => Volatile.Read(ref _transmission)?.EndWhenIdle();

    /// <summary>
    /// Breaks the connection and gives up its operations. From any thread; again and again does no harm.
    /// </summary>
    public void Abort()
    {
        // The socket is below every transport, and never changes.
        _socket.Abort();
        try
        {
            _aborted.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The connection ended by itself in the meantime.
        }

        Volatile.Read(ref _transmission)?.Wake();
    }

    public void Dispose()
    {
        _transport.Dispose();
        _aborted.Dispose();
    }

    private void Serve(ReceiveBuffer input)
    {
        using var handshake = new Handshake(_transport, input, _services, _client, StartTls, OnChosen);
        IBlockDevice? device = Negotiate(handshake);
        if (device is null) return;
        using IDisposable? attachment = device.Attach();
        _services.Log.Attached(Number, device.Info.Name);
        ClientIdentity client = _secured ?? _client;
        _attached = new NbdClient(Number, client.ToString(), device.Info.Name, _secured is not null, _services.Time.GetUtcNow());
        var transmission = new Transmission(
            _transport, input, device, handshake.Terms, _services, OnBroken, _aborted.Token);

        // Interlocked, so that a stopper either finds the transmission or is seen by it.
        Interlocked.Exchange(ref _transmission, transmission);
        try
        {
            transmission.Receive();
        }
        catch
        {
            Abort();
            throw;
        }
        finally
        {
            transmission.Finish();
        }
    }

    private IBlockDevice? Negotiate(Handshake handshake)
    {
        using ITimer timeout = _services.Time.CreateTimer(
            static state => ((NbdConnection)state!).Abort(),
            this,
            _services.Options.HandshakeTimeout,
            Timeout.InfiniteTimeSpan);
        return handshake.Run();
    }

    private (IWireTransport Transport, ClientIdentity Client) StartTls()
    {
        try
        {
            var tls = TlsTransport.Accept(_socket, _services.Tls!.ForHandshake(), _services.Pool);
            _transport = tls;
            _services.Log.Secured(Number, tls.Peer);
            _secured = tls.ClientCertificate is { } certificate
                ? _client with { CertificateNames = ClientIdentity.NamesIn(certificate) }
                : _client;
            return (tls, _secured);
        }
        catch (AuthenticationException fault)
        {
            _services.Log.NotSecured(Number, fault.Message);

            // The alert that tells the client why must not be lost with a connection that is reset.
            _socket.EndSend();
            throw new NbdProtocolException($"The TLS handshake failed: {fault.Message}");
        }
    }

    // Before the client is told: whoever was told is never displaced.
    private void OnChosen()
    {
        if (Interlocked.CompareExchange(ref _fate, Fate.Attached, Fate.Choosing) != Fate.Choosing)
            throw new NbdProtocolException("The connection had to make room for another one.");
    }

    private void OnBroken(Exception fault)
    {
        _services.Log.Dropped(Number, fault.Message);
        Abort();
    }

    // What becomes of a connection is decided once.
    private enum Fate
    {
        Choosing,
        Attached,
        Displaced,
    }
}
