using System.Diagnostics.Metrics;
using System.Text;

namespace ZeroFlow.Host.Telemetry;

/// <summary>
/// Listens to meters and shows what they measure in the Prometheus text format 0.0.4. Recording and scraping may go on
/// at once, from any thread.
/// </summary>
internal sealed class MetricCollector : IDisposable
{
    private readonly Func<Meter, bool> _accepts;
    private readonly MeterListener _listener = new();
    private readonly Lock _familiesLock = new();
    private readonly Lock _scrapeLock = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private long _scrape;
    private long _dropped;
    private long _observeFailures;

    /// <summary>Listens, from now on, to every meter that <paramref name="accepts"/> takes.</summary>
    public MetricCollector(Func<Meter, bool> accepts)
    {
        _accepts = accepts;
        _listener.InstrumentPublished = Enable;
        _listener.SetMeasurementEventCallback<byte>((i, value, tags, state) => OnWhole(i, value, tags, state));
        _listener.SetMeasurementEventCallback<short>((i, value, tags, state) => OnWhole(i, value, tags, state));
        _listener.SetMeasurementEventCallback<int>((i, value, tags, state) => OnWhole(i, value, tags, state));
        _listener.SetMeasurementEventCallback<long>(OnWhole);
        _listener.SetMeasurementEventCallback<float>((i, value, tags, state) => OnFraction(i, value, tags, state));
        _listener.SetMeasurementEventCallback<double>(OnFraction);
        _listener.SetMeasurementEventCallback<decimal>(
            (i, value, tags, state) => OnFraction(i, (double)value, tags, state));
        _listener.Start();
    }

    /// <summary>Measurements that were not taken, because their family had too many series.</summary>
    public long Dropped => Volatile.Read(ref _dropped);

    /// <summary>Asks the observable instruments, and renders every family in the order of its name, as UTF-8.</summary>
    public byte[] Scrape()
    {
        lock (_scrapeLock)
        {
            MetricFamily[] families = Observe();
            var text = new StringBuilder(64 * 1024);
            foreach (MetricFamily family in families) family.Write(text, _scrape);
            WriteOwn(text);
            return Encoding.UTF8.GetBytes(text.ToString());
        }
    }

    /// <summary>Asks the observable instruments, and returns every family by its name, with its series.</summary>
    public IReadOnlyDictionary<string, MetricSample[]> Read()
    {
        lock (_scrapeLock) return Observe().ToDictionary(family => family.Name, family => family.Read(_scrape));
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    // Under the scrape lock.
    private MetricFamily[] Observe()
    {
        _scrape++;
        try
        {
            _listener.RecordObservableInstruments();
        }
        catch (AggregateException)
        {
            // Every instrument was asked; those that failed are missing from this scrape, and counted.
            _observeFailures++;
        }

        lock (_familiesLock) return [.. _families.Values];
    }

    private void Enable(Instrument instrument, MeterListener listener)
    {
        if (!_accepts(instrument.Meter) || KindOf(instrument) is not { } kind) return;
        string name = MetricName.Of(instrument, kind);
        MetricFamily? family;
        lock (_familiesLock)
        {
            if (!_families.TryGetValue(name, out family))
            {
                string help = string.IsNullOrEmpty(instrument.Description) ? instrument.Name : instrument.Description;
                double[]? bounds = kind == MetricKind.Histogram ? BoundsOf(instrument) : null;
                family = new MetricFamily(name, kind, help, instrument.IsObservable, bounds);
                _families.Add(name, family);
            }
        }

        // Two instruments of one name share a family; of two kinds, the first wins, as the format has one type a name.
        if (family.Kind == kind && family.IsObserved == instrument.IsObservable)
            listener.EnableMeasurementEvents(instrument, new Subscription(family, IsDelta(instrument)));
    }

    private void OnWhole(
        Instrument instrument, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        var subscription = (Subscription)state!;
        if (subscription is { IsDelta: true, Family.Kind: not MetricKind.Histogram })
        {
            if (subscription.Family.Find(tags) is { } series) series.Add(value);
            else Interlocked.Increment(ref _dropped);
        }
        else
        {
            OnFraction(instrument, value, tags, state);
        }
    }

    private void OnFraction(
        Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        var subscription = (Subscription)state!;
        MetricSeries? series = subscription.Family.Find(tags);
        if (series is null)
        {
            Interlocked.Increment(ref _dropped);
            return;
        }

        if (subscription.Family.Kind == MetricKind.Histogram) series.Record(value);
        else if (subscription.IsDelta) series.Add(value);
        else series.Set(value);

        // Observable instruments are asked only under the scrape lock, by the thread that counts the scrapes.
        if (subscription.Family.IsObserved) series.MarkObserved(_scrape);
    }

    private void WriteOwn(StringBuilder text)
    {
        text.Append("# HELP zeroflow_metrics_dropped_total Measurements of metrics with too many series, not taken.\n");
        text.Append("# TYPE zeroflow_metrics_dropped_total counter\n");
        text.Append("zeroflow_metrics_dropped_total ").Append(Dropped).Append('\n');
        text.Append("# HELP zeroflow_metrics_failures_total Scrapes in which an instrument could not be read.\n");
        text.Append("# TYPE zeroflow_metrics_failures_total counter\n");
        text.Append("zeroflow_metrics_failures_total ").Append(_observeFailures).Append('\n');
    }

    private static MetricKind? KindOf(Instrument instrument) => GenericName(instrument) switch
    {
        "Counter" or "ObservableCounter" => MetricKind.Counter,
        "UpDownCounter" or "ObservableUpDownCounter" or "Gauge" or "ObservableGauge" => MetricKind.Gauge,
        "Histogram" => MetricKind.Histogram,
        _ => null,
    };

    private static bool IsDelta(Instrument instrument) => GenericName(instrument) is "Counter" or "UpDownCounter";

    // The kind of an instrument shows in its open generic type only.
    private static string GenericName(Instrument instrument)
    {
        string name = instrument.GetType().Name;
        int tick = name.IndexOf('`', StringComparison.Ordinal);
        return tick < 0 ? name : name[..tick];
    }

    private static double[] BoundsOf(Instrument instrument)
    {
        double[]? advised = (instrument as Histogram<double>)?.Advice?.HistogramBucketBoundaries?.ToArray();
        return advised is { Length: > 0 } ? advised : HistogramBuckets.ForUnit(instrument.Unit);
    }

    private sealed record Subscription(MetricFamily Family, bool IsDelta);
}
