using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>Keeps the lines of level Error and above: those that mean a bug of the server.</summary>
internal sealed class ErrorLog : ILogger<NbdServer>
{
    public ConcurrentQueue<string> Lines { get; } = new();

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel)) Lines.Enqueue($"{formatter(state, exception)} {exception}");
    }
}
