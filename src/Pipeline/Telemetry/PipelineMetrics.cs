using System.Diagnostics.Metrics;

namespace ZeroFlow.Pipeline.Telemetry;

/// <summary>
/// The one meter of the engine. Its instruments are named <c>zeroflow.*</c>; those of a stage carry the tag
/// <c>stage</c>. Thread-safe.
/// </summary>
/// <remarks>
/// Stage counters are plain integers, read by observable instruments when somebody asks, so that counting costs no
/// listener call on the hot path. Durations are histograms and do pay one call.
/// </remarks>
public sealed class PipelineMetrics : IDisposable
{
    /// <summary>Name of the meter that an exporter listens to.</summary>
    public const string MeterName = "ZeroFlow";

    private readonly Lock _lock = new();
    private readonly List<StageMeter> _stages = [];
    private readonly Histogram<double> _stageSeconds;

    /// <summary>Makes the meter and the instruments that all stages share.</summary>
    public PipelineMetrics()
    {
        Meter = new Meter(MeterName);
        _stageSeconds = Meter.CreateHistogram<double>(
            "zeroflow.stage.duration", "s", "Time that a message spends being worked on in a stage.");
        Counter("zeroflow.stage.messages.in", "{message}", "Messages that entered a stage.", s => s.MessagesIn);
        Counter("zeroflow.stage.messages.out", "{message}", "Messages that left a stage.", s => s.MessagesOut);
        Counter("zeroflow.stage.bytes.in", "By", "Payload bytes that entered a stage.", s => s.BytesIn);
        Counter("zeroflow.stage.bytes.out", "By", "Payload bytes that left a stage.", s => s.BytesOut);
        Meter.CreateObservableCounter(
            "zeroflow.stage.busy", () => Observe(s => s.BusySeconds), "s", "Time that a stage spent working.");
        Meter.CreateObservableCounter(
            "zeroflow.stage.space_wait", () => Observe(s => s.SpaceWaitSeconds), "s",
            "Time that a stage's senders waited for room in its queue.");
        Gauge("zeroflow.stage.queue.depth", "{message}", "Messages that wait in front of a stage.", s => s.QueueDepth);
        Gauge("zeroflow.stage.queue.bound", "{message}", "Most messages that may wait in front of a stage.", s => s.QueueBound);
        Gauge("zeroflow.stage.active", "{message}", "Messages that a stage is working on.", s => s.Active);
    }

    /// <summary>The meter, for the instruments of single parts.</summary>
    public Meter Meter { get; }

    /// <summary>Traces of single requests; off until somebody turns them on.</summary>
    public PipelineTraces Traces { get; } = new();

    /// <summary>Registers a stage.</summary>
    /// <param name="name">The stage's name in the design: admit, sequence, journal, cut, chunk, compress, seal, table, upload, commit, settle.</param>
    /// <param name="queueBound">Most messages that may wait in front of it.</param>
    /// <param name="queueDepth">Reads how many wait now.</param>
    public StageMeter AddStage(string name, int queueBound, Func<int> queueDepth)
    {
        var stage = new StageMeter(name, queueBound, queueDepth, _stageSeconds);
        lock (_lock) _stages.Add(stage);
        return stage;
    }

    /// <summary>A snapshot of the registered stages, in pipeline order.</summary>
    public IReadOnlyList<StageMeter> Stages
    {
        get
        {
            lock (_lock) return [.. _stages];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Meter.Dispose();

    private void Counter(string name, string unit, string description, Func<StageMeter, long> read) =>
        Meter.CreateObservableCounter(name, () => Observe(read), unit, description);

    private void Gauge(string name, string unit, string description, Func<StageMeter, long> read) =>
        Meter.CreateObservableGauge(name, () => Observe(read), unit, description);

    private IEnumerable<Measurement<T>> Observe<T>(Func<StageMeter, T> read)
        where T : struct =>
        Stages.Select(stage => new Measurement<T>(read(stage), stage.Tag));
}
