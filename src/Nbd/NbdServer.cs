using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Connections;
using ZeroFlow.Nbd.Telemetry;
using ZeroFlow.Nbd.Tls;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Nbd;

/// <summary>
/// Serves block devices over NBD as in doc/proto.md of the reference implementation, with or without TLS. Started once,
/// stopped once.
/// </summary>
/// <remarks>
/// Each connection has a thread that receives; see <see cref="Transmission"/>. A client that misbehaves loses its own
/// connection and harms nobody else. The directory, the pool and the metrics are borrowed and must outlive the server.
/// </remarks>
public sealed class NbdServer : IAsyncDisposable
{
    // Once the time to drain is over, operations are cancelled and buffers come back; a device that does not even
    // react to cancellation must not keep the process from ending.
    private static readonly TimeSpan s_abortTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_acceptPause = TimeSpan.FromMilliseconds(100);

    private readonly NbdServerOptions _options;
    private readonly ConnectionServices _services;
    private readonly CancellationTokenSource _stopAccepting = new();
    private readonly List<Socket> _listeners = [];
    private readonly List<Task> _acceptLoops = [];
    private readonly Lock _lock = new();
    private readonly HashSet<NbdConnection> _connections = [];
    private readonly StopSignal _stop = new();
    private Task? _stopped;
    private long _lastNumber;
    private int _displaced;

    /// <summary>Makes a server that does not listen yet.</summary>
    /// <param name="exports">What clients may attach.</param>
    /// <param name="options">Where to listen, and what a client may cost.</param>
    /// <param name="pool">Lends all payload and connection buffers.</param>
    /// <param name="metrics">Where the instruments of the server are registered.</param>
    /// <param name="time">Measures requests and handshakes.</param>
    /// <param name="log">Where the server tells what happens.</param>
    /// <exception cref="StorageFaultException">An option is out of range, or a certificate cannot be used.</exception>
    public NbdServer(
        IExportDirectory exports,
        NbdServerOptions options,
        BufferPool pool,
        PipelineMetrics metrics,
        TimeProvider time,
        ILogger<NbdServer> log)
    {
        options.Validate();
        _options = options;
        var meter = new NbdMeter(metrics, options.ConnectionsMax, () => ConnectionCount);
        var lines = new ConnectionLog(log, time);
        TlsCredentials? tls = options.Tls is { } offered ? new TlsCredentials(offered, time, lines) : null;
        if (tls is not null) NbdMeter.ObserveExpiry(metrics, () => tls.Expiry);
        _services = new ConnectionServices(
            exports, options, pool, new ByteBudget(options.ServerPayloadBytesMax), meter, time, lines, _stop, tls,
            new AccessPolicy(options.Access));
    }

    /// <summary>Where the server listens, with the ports that the system chose. Empty before the start.</summary>
    public IReadOnlyList<EndPoint> BoundEndpoints { get; private set; } = [];

    /// <summary>Connections that are open now, attached or not.</summary>
    public int ConnectionCount
    {
        get
        {
            lock (_lock) return _connections.Count;
        }
    }

    /// <summary>The clients that have attached an export now, in the order of their connections. Thread-safe.</summary>
    public IReadOnlyList<NbdClient> Clients() =>
        [.. Snapshot().Select(static connection => connection.Client).OfType<NbdClient>().OrderBy(static client => client.Connection)];

    /// <summary>Binds all endpoints and starts to accept; all of them or none.</summary>
    /// <exception cref="StorageFaultException">An endpoint cannot be bound; the message says which and why.</exception>
    public Task StartAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        try
        {
            foreach (IPEndPoint endpoint in _options.TcpEndpoints) _listeners.Add(ListenSockets.Bind(endpoint));
            if (_options.UnixSocketPath is { } path) _listeners.Add(ListenSockets.Bind(path));
            _listeners.AddRange(_options.InheritedListeners);
        }
        catch (StorageFaultException)
        {
            CloseListeners();
            throw;
        }

        string tls = _options.Tls is { } offered ? offered.IsRequired ? "required" : "allowed" : "off";
        BoundEndpoints = [.. _listeners.Select(l => l.LocalEndPoint!)];
        foreach (Socket listener in _listeners)
        {
            _services.Log.Listening(listener.LocalEndPoint!, tls);
            _acceptLoops.Add(BackgroundLoop.Start(
                stopping => AcceptLoopAsync(listener, stopping),
                fault => _services.Log.AcceptFailed(listener.LocalEndPoint, fault),
                _stopAccepting.Token));
        }

        return Task.CompletedTask;
    }

    /// <summary>
    /// Stops: accepts nobody, answers new requests with ESHUTDOWN, finishes those under way, and closes. What is still
    /// under way after <paramref name="drainTimeout"/> is dropped. Later calls wait for the first one.
    /// </summary>
    public Task StopAsync(TimeSpan drainTimeout)
    {
        lock (_lock) return _stopped ??= StopCoreAsync(drainTimeout);
    }

    /// <summary>Stops without time to drain.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        _stopAccepting.Dispose();
    }

    private async Task StopCoreAsync(TimeSpan drainTimeout)
    {
        await _stopAccepting.CancelAsync();
        await Task.WhenAll(_acceptLoops);
        CloseListeners();

        _stop.Request();
        NbdConnection[] connections = Snapshot();
        foreach (NbdConnection connection in connections) connection.EndWhenIdle();
        Task attachedEnded = Task.WhenAll(connections.Where(c => c.IsAttached).Select(c => c.Ended));
        await WaitAsync(attachedEnded, drainTimeout);

        connections = Snapshot();
        int busy = connections.Count(c => c.IsAttached);
        if (busy > 0) _services.Log.DrainTimedOut(busy);
        foreach (NbdConnection connection in connections) connection.Abort();
        await WaitAsync(Task.WhenAll(connections.Select(c => c.Ended)), s_abortTimeout);
    }

    private async Task WaitAsync(Task task, TimeSpan timeout)
    {
        try
        {
            await task.WaitAsync(timeout, _services.Time);
        }
        catch (TimeoutException)
        {
            // The caller looks at what is left.
        }
    }

    private async Task AcceptLoopAsync(Socket listener, CancellationToken stopping)
    {
        while (true)
        {
            try
            {
                Admit(await listener.AcceptAsync(stopping));
            }
            catch (Exception fault) when (fault is not OperationCanceledException)
            {
                // The client left before it was accepted, or the process is out of file descriptors or threads. None
                // is a reason to stop listening; the pause keeps the second from spinning.
                _services.Log.AcceptFailed(listener.LocalEndPoint, fault);
                await Task.Delay(s_acceptPause, _services.Time, stopping);
            }
        }
    }

    private void Admit(Socket client)
    {
        NbdConnection? connection = null, displaced = null;
        try
        {
            lock (_lock)
            {
                bool isFull = _connections.Count - _displaced >= _options.ConnectionsMax;
                if (isFull) displaced = TakeDisplaced();
                if (!isFull || displaced is not null)
                {
                    connection = new NbdConnection(++_lastNumber, new SocketTransport(client), _services);
                    _connections.Add(connection);
                }
            }

            displaced?.Abort();
            if (displaced is not null) _services.Log.Displaced(_options.ConnectionsMax);
            if (connection is not null)
            {
                new Thread(() => Run(connection)) { IsBackground = true, Name = "nbd" }.Start();
                return;
            }

            client.Dispose();
            _services.Log.TurnedAway(_options.ConnectionsMax);
        }
        catch
        {
            client.Dispose();
            if (connection is not null) Forget(connection);
            throw;
        }
    }

    // Whoever opens connections and says nothing must not keep others out for the time of a handshake, which is long for
    // the sake of slow networks. A client that is attached keeps its place. Under the lock.
    private NbdConnection? TakeDisplaced()
    {
        // Each of them ends as soon as its thread notices; until then it takes memory.
        if (_displaced >= _options.ConnectionsMax) return null;
        while (_connections.Where(static c => c.IsChoosing).MinBy(static c => c.Number) is { } oldest)
        {
            // It may have chosen meanwhile.
            if (!oldest.TryDisplace()) continue;
            _displaced++;
            return oldest;
        }

        return null;
    }

    private void Run(NbdConnection connection)
    {
        connection.Run();
        Forget(connection);
    }

    private void Forget(NbdConnection connection)
    {
        lock (_lock)
        {
            if (_connections.Remove(connection) && connection.IsDisplaced) _displaced--;
        }

        connection.Dispose();
    }

    private NbdConnection[] Snapshot()
    {
        lock (_lock) return [.. _connections];
    }

    private void CloseListeners()
    {
        foreach (Socket listener in _listeners) listener.Dispose();
        _listeners.Clear();
    }
}
