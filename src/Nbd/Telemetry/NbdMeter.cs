using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Nbd.Telemetry;

/// <summary>The instruments of one server. Thread-safe.</summary>
internal sealed class NbdMeter
{
    private readonly ConcurrentDictionary<string, ExportMeter> _exports = new(StringComparer.Ordinal);
    private readonly Histogram<double> _seconds;
    private int _waiting;

    /// <param name="metrics">Where the instruments are registered.</param>
    /// <param name="connectionsMax">Each connection has at most one request that waits for room.</param>
    /// <param name="connections">Reads how many connections there are.</param>
    public NbdMeter(PipelineMetrics metrics, int connectionsMax, Func<int> connections)
    {
        Meter meter = metrics.Meter;
        Traces = metrics.Traces;
        meter.CreateObservableGauge("zeroflow.nbd.connections", connections, "{connection}", "Open NBD connections.");
        _seconds = meter.CreateHistogram<double>(
            "zeroflow.export.request.duration", "s", "Time from the arrival of a request to its reply.");
        meter.CreateObservableCounter(
            "zeroflow.export.requests", () => _exports.Values.SelectMany(e => e.Requests()), "{request}",
            "Requests answered.");
        meter.CreateObservableCounter(
            "zeroflow.export.bytes", () => _exports.Values.SelectMany(e => e.Bytes()), "By",
            "Bytes covered by requests that succeeded.");
        Admit = metrics.AddStage("admit", connectionsMax, () => Volatile.Read(ref _waiting));
    }

    /// <summary>Shows when the certificate of the server ends, so that somebody may be told before.</summary>
    public static void ObserveExpiry(PipelineMetrics metrics, Func<DateTimeOffset> expiry) =>
        metrics.Meter.CreateObservableGauge(
            "zeroflow.tls.certificate.expiry", () => (double)expiry().ToUnixTimeSeconds(), "s",
            "When the server's TLS certificate ends, in seconds since the Unix epoch; only with TLS.");

    /// <summary>Traces of single requests.</summary>
    public PipelineTraces Traces { get; }

    /// <summary>Stage (1) of the pipeline: requests between their arrival and their reply.</summary>
    public StageMeter Admit { get; }

    /// <summary>The counters of an export; the same ones for all its connections.</summary>
    public ExportMeter ForExport(string name) =>
        _exports.GetOrAdd(name, static (n, s) => new ExportMeter(n, s), _seconds);

    /// <summary>A request starts to wait for room.</summary>
    public void BeginWait() => Interlocked.Increment(ref _waiting);

    /// <summary>It got room after <paramref name="wait"/>, or gave up.</summary>
    public void EndWait(TimeSpan wait)
    {
        Interlocked.Decrement(ref _waiting);
        Admit.WaitedForSpace(wait);
    }
}
