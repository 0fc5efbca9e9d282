using System.Net;
using System.Net.Sockets;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tls;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd;

/// <summary>Where the server listens and what a client may cost. Immutable; checked when the server is made.</summary>
public sealed record NbdServerOptions
{
    /// <summary>The port that IANA gave to NBD.</summary>
    public const int DefaultPort = 10809;

    /// <summary>Addresses to listen on; port 0 lets the system choose. Default: the loopback address.</summary>
    /// <remarks>
    /// Without TLS the protocol has neither authentication nor secrecy: whoever reaches the port owns the data.
    /// </remarks>
    public IReadOnlyList<IPEndPoint> TcpEndpoints { get; init; } = [new(IPAddress.Loopback, DefaultPort)];

    /// <summary>Path of a Unix socket to listen on as well; null for none.</summary>
    /// <remarks>A socket file that nobody listens on any more is replaced; one in use is an error.</remarks>
    public string? UnixSocketPath { get; init; }

    /// <summary>
    /// Stream sockets that listen already, handed over by a service manager; served beside the others. Default: none.
    /// The server owns them once it is started, and disposes of them when it stops.
    /// </summary>
    public IReadOnlyList<Socket> InheritedListeners { get; init; } = [];

    /// <summary>How TLS is offered, on TCP and on the Unix socket; null does not offer it. Default: null.</summary>
    public TlsOptions? Tls { get; init; }

    /// <summary>
    /// Who may have which export; none for everybody. Default: none. What a client may not have is not listed for it, and
    /// unknown when it asks.
    /// </summary>
    public IReadOnlyList<AccessRule> Access { get; init; } = [];

    /// <summary>Connections served at once, over all endpoints. Default 256.</summary>
    /// <remarks>
    /// Each one has a thread and about 320 KiB of buffers while it is attached, 100 KiB more with TLS. A client above
    /// the limit takes the place of the one that has been choosing an export for longest. Where all are attached it is
    /// closed at once, so that its user sees a failure and not a hang.
    /// </remarks>
    public int ConnectionsMax { get; init; } = 256;

    /// <summary>Requests that one connection may have in flight, from 1 to 4096. Default 256.</summary>
    /// <remarks>
    /// Linux sends up to 128 on a connection: less would stall it. A connection that uses up its share is not read
    /// from until replies have left; it is never closed for that.
    /// </remarks>
    public int RequestsInFlightMax { get; init; } = 256;

    /// <summary>Bytes of READ and WRITE payload that one connection may hold in memory. Default 64 MiB.</summary>
    /// <remarks>A single request that is larger than this waits until the connection holds nothing else.</remarks>
    public long ConnectionPayloadBytesMax { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// Bytes of payload that each connection has for itself, outside the server's budget. Default 256 KiB.
    /// </summary>
    /// <remarks>
    /// Clients that never read their replies can hold the whole of the server's budget; with a share of its own,
    /// a well-behaved client with requests of usual size goes on beside them. Costs at most this much for each of
    /// <see cref="ConnectionsMax"/>.
    /// </remarks>
    public long ConnectionReservedBytes { get; init; } = 256 * 1024;

    /// <summary>
    /// Bytes of payload that all connections together may hold above their own shares. Default 256 MiB.
    /// </summary>
    public long ServerPayloadBytesMax { get; init; } = 256L * 1024 * 1024;

    /// <summary>How long a client may take to choose an export, TLS included. Default 30 seconds.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Largest option data that is looked at, in bytes. Default 64 KiB.</summary>
    /// <remarks>
    /// A legal GO with the longest name and every possible information request is larger than 4 KiB. Larger data is
    /// skipped and answered with "too big".
    /// </remarks>
    public int OptionBytesMax { get; init; } = 64 * 1024;

    /// <summary>
    /// Largest option data that is skipped, in bytes; a client that sends more is disconnected. Default 1 MiB.
    /// </summary>
    public int OptionSkipBytesMax { get; init; } = 1024 * 1024;

    internal void Validate()
    {
        // A GO with the longest legal name and no information requests must fit.
        const int OptionBytesMin = 4 + NbdConstants.StringBytesMax + 2;
        Require(TcpEndpoints.Count > 0 || UnixSocketPath is not null || InheritedListeners.Count > 0, "no TCP endpoint and no Unix socket is given");
        Require(Tls?.ClientAuthorityFile is not null || Access.All(rule => rule.CertificateName is null),
            "an access rule wants a certificate, and clients are not asked for one");
        Require(ConnectionsMax > 0, $"{nameof(ConnectionsMax)} must be positive");
        Require(RequestsInFlightMax is > 0 and <= 4096, $"{nameof(RequestsInFlightMax)} must be from 1 to 4096");
        Require(ConnectionPayloadBytesMax > 0, $"{nameof(ConnectionPayloadBytesMax)} must be positive");
        Require(ConnectionReservedBytes >= 0, $"{nameof(ConnectionReservedBytes)} must not be negative");
        Require(ServerPayloadBytesMax > 0, $"{nameof(ServerPayloadBytesMax)} must be positive");
        Require(HandshakeTimeout > TimeSpan.Zero, $"{nameof(HandshakeTimeout)} must be positive");
        Require(OptionBytesMax is >= OptionBytesMin and <= RequestRules.PayloadBytesMax,
            $"{nameof(OptionBytesMax)} must be from {OptionBytesMin} to {RequestRules.PayloadBytesMax}");
        Require(OptionSkipBytesMax >= OptionBytesMax,
            $"{nameof(OptionSkipBytesMax)} must not be less than {nameof(OptionBytesMax)}");
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds) throw new StorageFaultException(FaultKind.Invalid, $"The NBD server cannot start: {otherwise}.");
    }
}
