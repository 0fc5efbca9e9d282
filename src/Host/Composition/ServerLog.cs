using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using ZeroFlow.Host.Live;
using ZeroFlow.Host.Systemd;

namespace ZeroFlow.Host.Composition;

/// <summary>What is logged, and where it goes.</summary>
internal static class ServerLog
{
    /// <summary>
    /// Lets through our own events from <paramref name="level"/> on, and of the frameworks only what is wrong. That a
    /// host failed is left out: the life of the server says why in its own words.
    /// </summary>
    public static void Configure(ILoggingBuilder logging, LogLevel level)
    {
        logging.SetMinimumLevel(level);
        logging.AddFilter("Microsoft", level < LogLevel.Warning ? LogLevel.Warning : level);
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
    }

    /// <summary>
    /// Keeps the newest lines for the live view: ours from Information on, whatever is written elsewhere, and warnings of
    /// the frameworks.
    /// </summary>
    public static void Keep(ILoggingBuilder logging, RecentEvents events)
    {
        logging.AddProvider(events);
        logging.AddFilter<RecentEvents>(category: null, LogLevel.Warning);
        logging.AddFilter<RecentEvents>("ZeroFlow", LogLevel.Information);
        logging.AddFilter<RecentEvents>("Microsoft.Extensions.Hosting", LogLevel.None);
    }

    /// <summary>
    /// One line for each event, on standard error: standard output is for what a person asked for. A line of text, or a
    /// JSON object that has the parts of the message by their names. As a service of systemd each line of text says how
    /// grave it is, in the journal's own way, and leaves the time to the journal.
    /// </summary>
    public static void WriteToStandardError(ILoggingBuilder logging, bool json)
    {
        if (json) WriteObjects(logging);
        else if (JournalStream.IsConnected) logging.AddSystemdConsole();
        else WriteLines(logging);
        logging.Services.Configure<ConsoleLoggerOptions>(
            console => console.LogToStandardErrorThreshold = LogLevel.Trace);
    }

    private static void WriteObjects(ILoggingBuilder logging) =>
        logging.AddJsonConsole(console =>
        {
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
        });

    private static void WriteLines(ILoggingBuilder logging) =>
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
}
