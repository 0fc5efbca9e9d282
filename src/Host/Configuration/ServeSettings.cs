using System.Net;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Systemd;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Tls;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Configuration;

/// <summary>Everything that <c>zeroflow serve</c> needs to know, validated. Immutable.</summary>
internal sealed record ServeSettings
{
    /// <summary>Where the store is: <c>file:///dir</c> or <c>s3://bucket/prefix?...</c>. Holds no secret.</summary>
    public required string StoreUrl { get; init; }

    /// <summary>Directory of the WAL and the disk cache, as a full path.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>The moment to serve the store as of, read-only; null to write it.</summary>
    public DateTimeOffset? AsOf { get; init; }

    /// <summary>What a service manager listens on for us; NBD sockets are served instead of those named here.</summary>
    public InheritedSockets Inherited { get; init; } = InheritedSockets.None;

    /// <summary>TCP address for NBD; null when only the socket is served.</summary>
    public required IPEndPoint? Listen { get; init; }

    /// <summary>Path of the Unix socket for NBD, if any, as a full path.</summary>
    public required string? SocketPath { get; init; }

    /// <summary>How TLS is offered to NBD clients; null when it is not.</summary>
    public required TlsOptions? Tls { get; init; }

    /// <summary>Who may have which export; none for everybody.</summary>
    public required IReadOnlyList<AccessRule> Access { get; init; }

    /// <summary>Address of health, readiness, metrics and control; null when only the socket is served.</summary>
    public required IPEndPoint? AdminListen { get; init; }

    /// <summary>Path of the Unix socket for the same, if any, as a full path.</summary>
    public required string? AdminSocketPath { get; init; }

    /// <summary>The file with the secret of the control API, as a full path; made when it is missing.</summary>
    public required string AdminTokenFile { get; init; }

    /// <summary>A second token, with which one can read metrics and nothing else; null for none.</summary>
    public Secret? MetricsToken { get; init; }

    /// <summary>Names by which the admin address may be asked for, beside <c>localhost</c> and the machine's own.</summary>
    public IReadOnlyList<string> AdminHosts { get; init; } = [];

    /// <summary>
    /// Whether the memory of the process, keys and data included, may be dumped to a file or read by a debugger.
    /// </summary>
    public bool CoreDumps { get; init; }

    /// <summary>Where metrics and traces go by OTLP over HTTP; null when nowhere, or where the environment says.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>True when metrics and traces go out by OTLP.</summary>
    public bool IsOtlpOn { get; init; }

    /// <summary>One request in so many is traced when traces go out; 0 for none.</summary>
    public int TraceOneIn { get; init; } = 1000;

    /// <summary>The live view asks for the token on this machine, too.</summary>
    public bool AdminLiveToken { get; init; }

    /// <summary>What requests to the bucket cost, for the live view.</summary>
    public PriceList Prices { get; init; } = new();

    /// <summary>Exports that must exist, created when missing.</summary>
    public required IReadOnlyList<ExportSpec> Exports { get; init; }

    /// <summary>Unlocks the store; null only with <see cref="Embedded"/>, which then keeps one of its own.</summary>
    public required Secret? Passphrase { get; init; }

    /// <summary>Bounds of the engine.</summary>
    public required StoreOptions Tuning { get; init; }

    /// <summary>Least level that is logged.</summary>
    public required LogLevel LogLevel { get; init; }

    /// <summary>True when each event is logged as a JSON object with its parts, false for a line of text.</summary>
    public bool LogsJson { get; init; }

    /// <summary>The directory of the embedded default when no store was named, otherwise null.</summary>
    public required EmbeddedDefault? Embedded { get; init; }
}
