using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>Keeps the lines of level Error and above, which mean a bug of the server, and apart from them warnings.</summary>
internal sealed class ErrorLog : ILogger<NbdServer>
{
    public ConcurrentQueue<string> Lines { get; } = new();

    public ConcurrentQueue<string> Warnings { get; } = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel)) return;
        ConcurrentQueue<string> lines = logLevel == LogLevel.Warning ? Warnings : Lines;
        lines.Enqueue($"{formatter(state, exception)} {exception}");
    }
}
