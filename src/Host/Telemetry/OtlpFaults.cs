using System.Diagnostics.Tracing;
using System.Globalization;
using Microsoft.Extensions.Logging;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// Says in the log that metrics or traces do not arrive: once, and again at most every <see cref="Pause"/> while it goes on.
/// The exporter itself tells it to event sources only.
/// </summary>
internal sealed partial class OtlpFaults : EventListener
{
    private const string Source = "OpenTelemetry-Exporter-OpenTelemetryProtocol";
    private const int DetailCharactersMax = 300;

    private static readonly TimeSpan Pause = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly ILogger? _log;
    private readonly TimeProvider? _time;
    private long? _saidAt;

    /// <summary>Begins to listen.</summary>
    public OtlpFaults(TimeProvider time, ILogger log)
    {
        _log = log;
        _time = time;
    }

    /// <inheritdoc/>
    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name == Source) EnableEvents(eventSource, EventLevel.Error);
    }

    /// <inheritdoc/>
    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        // The base class may call before the constructor has run.
        if (_log is null || _time is null || eventData.EventSource.Name != Source) return;
        lock (_lock)
        {
            if (_saidAt is { } before && _time.GetElapsedTime(before) < Pause) return;
            _saidAt = _time.GetTimestamp();
        }

        object?[] details = [.. eventData.Payload ?? []];
        string text = string.Format(CultureInfo.InvariantCulture, eventData.Message ?? "", details).Split('\n')[0].TrimEnd();
        if (text.Length > DetailCharactersMax) text = text[..DetailCharactersMax];
        LogNotSent(_log, text);
    }

    [LoggerMessage(
        1, LogLevel.Warning,
        "Metrics or traces could not be sent; the server goes on without. Check Telemetry:Otlp:Endpoint, or that its receiver runs: {Detail}")]
    private static partial void LogNotSent(ILogger log, string detail);
}
