using System.Globalization;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;
using ZeroFlow.Host.Serving;

namespace ZeroFlow.Host.Systemd;

/// <summary>
/// Tells a service manager how the server is, by the protocol of sd_notify(3): READY when clients can attach, STOPPING
/// when it goes down, a STATUS line for people at each step, and WATCHDOG at half the time that WATCHDOG_USEC allows.
/// Does nothing where no manager asked for it. Thread-safe.
/// </summary>
/// <remarks>
/// The watchdog's beat comes from the thread pool, on which replies, uploads and commits run as well: a process that hangs,
/// or whose pool does, misses it. A bucket that is away does not: waiting is what the server is meant to do then.
/// </remarks>
internal sealed partial class ServiceNotifier : IDisposable
{
    private readonly ISystemdNotifier _manager;
    private readonly TimeSpan _stopTime;
    private readonly ILogger<ServiceNotifier> _log;
    private readonly ITimer? _beat;
    private int _failed;

    /// <summary>Makes a notifier.</summary>
    /// <param name="manager">The connection to the service manager.</param>
    /// <param name="watchdog">How long the manager waits for a sign of life; null when it does not.</param>
    /// <param name="stopTime">How long a stop may take, so that the manager waits for it.</param>
    /// <param name="time">Drives the watchdog.</param>
    /// <param name="log">Told once when the manager does not answer.</param>
    public ServiceNotifier(
        ISystemdNotifier manager, TimeSpan? watchdog, TimeSpan stopTime, TimeProvider time, ILogger<ServiceNotifier> log)
    {
        _manager = manager;
        _stopTime = stopTime;
        _log = log;
        if (watchdog is { } period && manager.IsEnabled)
            _beat = time.CreateTimer(_ => Send("WATCHDOG=1"), null, TimeSpan.Zero, period / 2);
    }

    /// <summary>Reads WATCHDOG_USEC (microseconds), which counts unless WATCHDOG_PID names another process.</summary>
    public static TimeSpan? WatchdogPeriod(string? microseconds, string? owner, int processId)
    {
        if (owner is not null && owner != processId.ToString(CultureInfo.InvariantCulture)) return null;
        bool isSet = long.TryParse(microseconds, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count > 0;

        // Timers count milliseconds up to 49 days.
        return isSet ? TimeSpan.FromMilliseconds(Math.Clamp(count / 1000, 2, uint.MaxValue - 1L)) : null;
    }

    /// <summary>Tells the manager that the server has entered a phase.</summary>
    public void Tell(ServerState.Snapshot state)
    {
        string status = $"STATUS={state.Phase}: {state.Reason.ReplaceLineEndings(" ")}";
        string extension = $"EXTEND_TIMEOUT_USEC={(long)_stopTime.TotalMicroseconds}";
        Send(state.Phase switch
        {
            ServerPhase.Ready => $"READY=1\n{status}",
            ServerPhase.Stopping or ServerPhase.Failed => $"STOPPING=1\n{extension}\n{status}",
            _ => status,
        });
    }

    /// <inheritdoc/>
    public void Dispose() => _beat?.Dispose();

    private void Send(string state)
    {
        try
        {
            _manager.Notify(new ServiceState(state));
        }
        catch (SocketException fault)
        {
            // The server goes on: whether anybody listens is the manager's affair.
            if (Interlocked.Exchange(ref _failed, 1) == 0) LogUnheard(_log, fault.Message);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "The service manager (NOTIFY_SOCKET) cannot be told how the server is: {Reason}")]
    private static partial void LogUnheard(ILogger log, string reason);
}
