using Microsoft.Extensions.Logging;

namespace ZeroFlow.Host.Live;

/// <summary>
/// Keeps the newest lines of the server's log for whoever looks, and warnings longer than everyday lines. Thread-safe.
/// </summary>
internal sealed class RecentEvents(TimeProvider time) : ILoggerProvider
{
    /// <summary>Lines that are kept of either sort: warnings and worse, and others.</summary>
    public const int Kept = 25;

    private const int TextMax = 400;

    private readonly Lock _lock = new();
    private readonly Queue<(long Number, LiveEvent Event)> _everyday = new(Kept);
    private readonly Queue<(long Number, LiveEvent Event)> _warnings = new(Kept);
    private long _last;

    /// <summary>What happened, the newest first.</summary>
    public LiveEvent[] Newest()
    {
        lock (_lock)
        {
            return [.. _everyday.Concat(_warnings).OrderByDescending(static one => one.Number).Select(static one => one.Event)];
        }
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName) => new Sink(this);

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private void Add(LogLevel level, string text)
    {
        if (text.Length > TextMax) text = text[..TextMax] + "...";
        LiveLevel shown = level switch
        {
            >= LogLevel.Error => LiveLevel.Critical,
            LogLevel.Warning => LiveLevel.Warning,
            _ => LiveLevel.Good,
        };
        var added = new LiveEvent(time.GetUtcNow(), shown, text.ReplaceLineEndings(" "));
        lock (_lock)
        {
            Queue<(long Number, LiveEvent Event)> events = level >= LogLevel.Warning ? _warnings : _everyday;
            if (events.Count == Kept) events.Dequeue();
            events.Enqueue((++_last, added));
        }
    }

    private sealed class Sink(RecentEvents events) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel is >= LogLevel.Information and < LogLevel.None;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception,
            Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) events.Add(logLevel, formatter(state, exception));
        }
    }
}
