using System.Net;
using Microsoft.Extensions.Logging;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;

namespace ZeroFlow.Nbd.Telemetry;

/// <summary>
/// What connections write to the log. Clients can provoke most of it as often as they like, so that is either Debug or
/// limited to one line a second. Thread-safe.
/// </summary>
internal sealed partial class ConnectionLog(ILogger log, TimeProvider time)
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private readonly LineLimit _faults = new(time, s_pause);

    // Strangers must not be able to hide what else goes wrong.
    private readonly LineLimit _strangers = new(time, s_pause);

    [LoggerMessage(1, LogLevel.Information, "Listening for NBD clients on {Endpoint}; TLS is {Tls}.")]
    public partial void Listening(EndPoint endpoint, string tls);

    [LoggerMessage(2, LogLevel.Information, "NBD connection {Connection}: attached '{Export}'.")]
    public partial void Attached(long connection, string export);

    [LoggerMessage(3, LogLevel.Debug, "NBD connection {Connection} has ended.")]
    public partial void Ended(long connection);

    [LoggerMessage(4, LogLevel.Debug, "NBD connection {Connection} was dropped: {Reason}")]
    public partial void Dropped(long connection, string reason);

    [LoggerMessage(5, LogLevel.Warning,
        "NBD connections are still busy after the time given to drain; dropping {Connections} of them. Detach clients before a stop.")]
    public partial void DrainTimedOut(int connections);

    [LoggerMessage(6, LogLevel.Debug, "NBD connection {Connection} goes on over {Peer}.")]
    public partial void Secured(long connection, string peer);

    [LoggerMessage(7, LogLevel.Information,
        "The TLS files have changed: the certificate in {File} is for '{Subject}', until {NotAfter:u}.")]
    public partial void CertificateChanged(string file, string subject, DateTime notAfter);

    [LoggerMessage(8, LogLevel.Warning,
        "The TLS files have changed and cannot be used; what was read before stays in use. {Reason}")]
    public partial void CertificateKept(string reason);

    /// <summary>A client did not get TLS done.</summary>
    public void NotSecured(long connection, string reason)
    {
        if (_strangers.Passes(out long suppressed)) NoTls(connection, reason, suppressed);
    }

    /// <summary>A request failed on the device.</summary>
    public void OperationFailed(NbdCommand command, string export, Exception fault)
    {
        if (fault is OperationCanceledException || !_faults.Passes(out long suppressed)) return;
        if (FaultCodes.IsUnforeseen(fault)) Unforeseen(command, export, suppressed, fault);
        else Failed(command, export, fault.Message, suppressed);
    }

    /// <summary>A connection failed in a way that is a bug of this program.</summary>
    public void ConnectionFailed(long connection, Exception fault)
    {
        if (_faults.Passes(out long suppressed)) Broke(connection, suppressed, fault);
    }

    /// <summary>A client was turned away.</summary>
    public void TurnedAway(int connectionsMax)
    {
        if (_faults.Passes(out long suppressed)) Full(connectionsMax, suppressed);
    }

    /// <summary>A client that had not attached an export lost its place to a new one.</summary>
    public void Displaced(int connectionsMax)
    {
        if (_strangers.Passes(out long suppressed)) Crowded(connectionsMax, suppressed);
    }

    /// <summary>A client asked for an export that it may not have.</summary>
    public void Refused(string export, ClientIdentity client)
    {
        if (_strangers.Passes(out long suppressed)) NotAdmitted(client.ToString(), export, suppressed);
    }

    /// <summary>A client could not be accepted.</summary>
    public void AcceptFailed(EndPoint? endpoint, Exception fault)
    {
        if (_faults.Passes(out long suppressed)) NotAccepted(endpoint, fault.Message, suppressed);
    }

    [LoggerMessage(10, LogLevel.Warning,
        "{Command} on '{Export}' failed: {Reason} ({Suppressed} similar lines left out.)")]
    private partial void Failed(NbdCommand command, string export, string reason, long suppressed);

    [LoggerMessage(11, LogLevel.Error,
        "{Command} on '{Export}' failed unexpectedly. ({Suppressed} similar lines left out.)")]
    private partial void Unforeseen(NbdCommand command, string export, long suppressed, Exception fault);

    [LoggerMessage(12, LogLevel.Error,
        "NBD connection {Connection} failed unexpectedly. ({Suppressed} similar lines left out.)")]
    private partial void Broke(long connection, long suppressed, Exception fault);

    [LoggerMessage(13, LogLevel.Warning,
        "A client was turned away: all {Max} NBD connections are in use; see which clients do not leave. ({Suppressed} similar lines left out.)")]
    private partial void Full(int max, long suppressed);

    [LoggerMessage(14, LogLevel.Warning,
        "Accepting on {Endpoint} failed: {Reason} ({Suppressed} similar lines left out.)")]
    private partial void NotAccepted(EndPoint? endpoint, string reason, long suppressed);

    [LoggerMessage(15, LogLevel.Warning,
        "NBD connection {Connection}: TLS failed: {Reason} ({Suppressed} similar lines left out.)")]
    private partial void NoTls(long connection, string reason, long suppressed);

    [LoggerMessage(17, LogLevel.Warning,
        "A client from {Client} asked for '{Export}', which it may not have. ({Suppressed} similar lines left out.)")]
    private partial void NotAdmitted(string client, string export, long suppressed);

    [LoggerMessage(16, LogLevel.Warning,
        "All {Max} NBD connections are in use: one that had not attached an export made room. ({Suppressed} similar lines left out.)")]
    private partial void Crowded(int max, long suppressed);
}
