using System.Net;
using Microsoft.Extensions.Logging;
using ZeroFlow.Nbd.Protocol;

namespace ZeroFlow.Nbd.Telemetry;

/// <summary>
/// What connections write to the log. Clients can provoke most of it as often as they like, so that is either Debug or
/// limited to one line a second. Thread-safe.
/// </summary>
internal sealed partial class ConnectionLog(ILogger log, TimeProvider time)
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private long _lastAt;
    private bool _hasLast;
    private long _suppressed;

    [LoggerMessage(1, LogLevel.Information, "Listening for NBD clients on {Endpoint}.")]
    public partial void Listening(EndPoint endpoint);

    [LoggerMessage(2, LogLevel.Information, "NBD connection {Connection}: attached '{Export}'.")]
    public partial void Attached(long connection, string export);

    [LoggerMessage(3, LogLevel.Debug, "NBD connection {Connection} has ended.")]
    public partial void Ended(long connection);

    [LoggerMessage(4, LogLevel.Debug, "NBD connection {Connection} was dropped: {Reason}")]
    public partial void Dropped(long connection, string reason);

    [LoggerMessage(5, LogLevel.Warning, "NBD connections are still busy after the time given to drain; dropping {Connections} of them.")]
    public partial void DrainTimedOut(int connections);

    /// <summary>A request failed on the device.</summary>
    public void OperationFailed(NbdCommand command, string export, Exception fault)
    {
        if (fault is OperationCanceledException || !Passes(out long suppressed)) return;
        if (FaultCodes.IsUnforeseen(fault)) Unforeseen(command, export, suppressed, fault);
        else Failed(command, export, fault.Message, suppressed);
    }

    /// <summary>A connection failed in a way that is a bug of this program.</summary>
    public void ConnectionFailed(long connection, Exception fault)
    {
        if (Passes(out long suppressed)) Broke(connection, suppressed, fault);
    }

    /// <summary>A client was turned away.</summary>
    public void TurnedAway(int connectionsMax)
    {
        if (Passes(out long suppressed)) Full(connectionsMax, suppressed);
    }

    /// <summary>A client could not be accepted.</summary>
    public void AcceptFailed(EndPoint? endpoint, Exception fault)
    {
        if (Passes(out long suppressed)) NotAccepted(endpoint, fault.Message, suppressed);
    }

    private bool Passes(out long suppressed)
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            if (_hasLast && time.GetElapsedTime(_lastAt, now) < s_pause)
            {
                _suppressed++;
                suppressed = 0;
                return false;
            }

            _hasLast = true;
            _lastAt = now;
            suppressed = _suppressed;
            _suppressed = 0;
            return true;
        }
    }

    [LoggerMessage(10, LogLevel.Warning, "{Command} on '{Export}' failed: {Reason} ({Suppressed} similar lines left out.)")]
    private partial void Failed(NbdCommand command, string export, string reason, long suppressed);

    [LoggerMessage(11, LogLevel.Error, "{Command} on '{Export}' failed unexpectedly. ({Suppressed} similar lines left out.)")]
    private partial void Unforeseen(NbdCommand command, string export, long suppressed, Exception fault);

    [LoggerMessage(12, LogLevel.Error, "NBD connection {Connection} failed unexpectedly. ({Suppressed} similar lines left out.)")]
    private partial void Broke(long connection, long suppressed, Exception fault);

    [LoggerMessage(13, LogLevel.Warning, "A client was turned away: all {Max} NBD connections are in use. ({Suppressed} similar lines left out.)")]
    private partial void Full(int max, long suppressed);

    [LoggerMessage(14, LogLevel.Warning, "Accepting on {Endpoint} failed: {Reason} ({Suppressed} similar lines left out.)")]
    private partial void NotAccepted(EndPoint? endpoint, string reason, long suppressed);
}
