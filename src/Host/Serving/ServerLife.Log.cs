using Microsoft.Extensions.Logging;

namespace ZeroFlow.Host.Serving;

/// <content>What the life of a server says, one line for each event.</content>
internal sealed partial class ServerLife
{
    [LoggerMessage(
        1, LogLevel.Information, "Ready: {Exports} export(s) on {Address}, metrics on {Metrics}.")]
    private static partial void LogReady(ILogger log, int exports, string address, string metrics);

    [LoggerMessage(2, LogLevel.Warning, "The store has no export yet; name one with --export NAME:SIZE.")]
    private static partial void LogNoExports(ILogger log);

    [LoggerMessage(3, LogLevel.Information, "Stopping: no new clients; requests in flight are being finished.")]
    private static partial void LogStopping(ILogger log);

    [LoggerMessage(4, LogLevel.Information, "Stopped: everything is published.")]
    private static partial void LogStoppedClean(ILogger log);

    [LoggerMessage(
        5, LogLevel.Warning,
        "Stopped: {Bytes} are not published yet and wait in {Wal} for the next start; keep it.")]
    private static partial void LogStoppedWithRest(ILogger log, string bytes, string wal);

    [LoggerMessage(6, LogLevel.Information, "Stopped before the server was ready.")]
    private static partial void LogStoppedEarly(ILogger log);

    [LoggerMessage(7, LogLevel.Critical, "Not serving any more: {Reason}")]
    private static partial void LogFatal(ILogger log, string reason);

    [LoggerMessage(8, LogLevel.Critical, "Cannot start: {Reason}")]
    private static partial void LogStartFailed(ILogger log, string reason);

    [LoggerMessage(9, LogLevel.Critical, "Ended by an error that nobody foresaw: a bug. Start the server again, which replays what is in its log, and please report this.")]
    private static partial void LogBug(ILogger log, Exception fault);
}
