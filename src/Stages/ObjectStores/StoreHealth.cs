using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Whether the store answers, as its requests found it: shared by all that retry on one store, read by the health
/// endpoint and the metrics. Thread-safe.
/// </summary>
/// <remarks>
/// Trouble begins with a refusal, or with the second failure in a row of one request: a lone 503 is everyday life. It
/// ends with the first success. Each change is one line in the log, but at most one pair of lines in
/// <see cref="LogInterval"/>.
/// </remarks>
public sealed class StoreHealth
{
    /// <summary>Least time between two reports that trouble has begun.</summary>
    public static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private volatile State _state;
    private DateTimeOffset? _lastReport;
    private bool _isReported;

    /// <summary>Makes the state of a store of which nothing bad is known.</summary>
    public StoreHealth(TimeProvider time, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        _logger = loggers.CreateLogger<StoreHealth>();
        _state = new State(true, null, time.GetUtcNow());
    }

    /// <summary>False from when trouble begins until a request succeeds.</summary>
    public bool IsReachable => _state.IsReachable;

    /// <summary>The newest failure while there is trouble, else null. One sentence, no secrets.</summary>
    public string? LastError => _state.LastError;

    /// <summary>When <see cref="IsReachable"/> last changed.</summary>
    public DateTimeOffset Since => _state.Since;

    /// <summary>Adds the gauge <c>zeroflow.store.reachable</c> (1 or 0) to <paramref name="meter"/>.</summary>
    public void ObserveIn(Meter meter)
    {
        ArgumentNullException.ThrowIfNull(meter);
        meter.CreateObservableGauge(
            "zeroflow.store.reachable", () => IsReachable ? 1 : 0, null, "1 while the object store answers, else 0.");
    }

    /// <summary>An attempt succeeded.</summary>
    internal void ReportSuccess()
    {
        if (_state.IsReachable) return;
        TimeSpan trouble;
        lock (_lock)
        {
            if (_state.IsReachable) return;
            DateTimeOffset now = _time.GetUtcNow();
            trouble = now - _state.Since;
            _state = new State(true, null, now);
            if (!_isReported) return;
            _isReported = false;
        }

        _logger.LogInformation("The object store answers again after {Seconds:F1} s.", trouble.TotalSeconds);
    }

    /// <summary>An attempt failed, the <paramref name="failures"/>th in a row of its request.</summary>
    internal void ReportFailure(ObjectStoreException failure, int failures)
    {
        if (!IsTrouble(failure.Kind, failures)) return;
        lock (_lock)
        {
            DateTimeOffset now = _time.GetUtcNow();
            _state = new State(false, failure.Message, _state.IsReachable ? now : _state.Since);
            if (_isReported || now - _lastReport < LogInterval) return;
            _isReported = true;
            _lastReport = now;
        }

        _logger.LogWarning(
            "Trouble with the object store: {Error} Requests go on trying; {Advice}.", failure.Message, AdviceFor(failure.Kind));
    }

    private static string AdviceFor(ObjectStoreErrorKind kind) => kind switch
    {
        ObjectStoreErrorKind.Denied => "check the credentials, and what the bucket's policy allows them",
        ObjectStoreErrorKind.StoreMissing => "check the name in --store, or make the bucket",
        ObjectStoreErrorKind.Full => "make room, or raise the quota",
        ObjectStoreErrorKind.Throttled => "if it lasts, make fewer requests by a larger Tuning:PublishInterval, or ask for a higher limit",
        _ => "if it lasts, check the network and the endpoint",
    };

    private static bool IsTrouble(ObjectStoreErrorKind kind, int failures) => kind switch
    {
        ObjectStoreErrorKind.Denied or ObjectStoreErrorKind.StoreMissing or ObjectStoreErrorKind.Full => true,
        ObjectStoreErrorKind.Transient or ObjectStoreErrorKind.Throttled => failures >= 2,

        // These speak of one object or one request, not of the store.
        _ => false,
    };

    private sealed record State(bool IsReachable, string? LastError, DateTimeOffset Since);
}
