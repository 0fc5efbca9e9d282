using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using ZeroFlow.Host.Live;

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

    /// <summary>One line for each event, on standard error: standard output is for what a person asked for.</summary>
    public static void WriteToStandardError(ILoggingBuilder logging)
    {
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.UseUtcTimestamp = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        logging.Services.Configure<ConsoleLoggerOptions>(
            console => console.LogToStandardErrorThreshold = LogLevel.Trace);
    }
}
