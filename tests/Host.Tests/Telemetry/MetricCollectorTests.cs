using System.Diagnostics.Metrics;
using ZeroFlow.Host.Telemetry;

namespace ZeroFlow.Host.Tests.Telemetry;

public sealed class MetricCollectorTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly MetricCollector _collector;

    public MetricCollectorTests() => _collector = new MetricCollector(meter => meter == _meter);

    [Fact]
    public void Counters_add_up_by_labels_and_end_in_total()
    {
        Counter<long> requests = _meter.CreateCounter<long>("zeroflow.store.requests", "{request}", "Requests.");
        requests.Add(2, new("kind", "put"), new("result", "ok"));
        requests.Add(3, new("result", "ok"), new("kind", "put")); // the same series in another order
        requests.Add(1, new("kind", "get"), new("result", "ok"));
        _meter.CreateCounter<double>("zeroflow.wait", "s", "Waits.").Add(0.25);

        PrometheusText text = Scrape();

        Assert.Equal(5, text.Samples["zeroflow_store_requests_total{kind=\"put\",result=\"ok\"}"]);
        Assert.Equal(1, text.Samples["zeroflow_store_requests_total{kind=\"get\",result=\"ok\"}"]);
        Assert.Equal(0.25, text.Samples["zeroflow_wait_seconds_total"]);
        Assert.Equal("counter", text.Types["zeroflow_wait_seconds_total"]);
    }

    [Fact]
    public void Every_kind_of_instrument_becomes_its_type()
    {
        _meter.CreateUpDownCounter<int>("a.updown").Add(-4);
        _meter.CreateGauge<double>("b.gauge").Record(1.5);
        _meter.CreateObservableGauge("c.observed", () => -2L);
        _meter.CreateObservableCounter("d.observed", () => 7L, "By");
        _meter.CreateObservableUpDownCounter("e.observed", () => 3.5f);
        _meter.CreateHistogram<int>("f.size", "By").Record(700);

        PrometheusText text = Scrape();

        Assert.Equal(-4, text.Samples["a_updown"]);
        Assert.Equal(1.5, text.Samples["b_gauge"]);
        Assert.Equal(-2, text.Samples["c_observed"]);
        Assert.Equal(7, text.Samples["d_observed_bytes_total"]);
        Assert.Equal(3.5, text.Samples["e_observed"]);
        Assert.Equal(700, text.Samples["f_size_bytes_sum"]);
        Assert.Equal(
            ["gauge", "gauge", "gauge", "counter", "gauge", "histogram", "counter", "counter"], text.Types.Values);
    }

    [Theory]
    [InlineData("zeroflow.stage.duration", "s", "zeroflow_stage_duration_seconds")]
    [InlineData("zeroflow.stage.bytes.in", "By", "zeroflow_stage_bytes_in")]
    [InlineData("zeroflow.wal.bytes", "By", "zeroflow_wal_bytes")]
    [InlineData("zeroflow.stage.active", "{message}", "zeroflow_stage_active")]
    [InlineData("rate", "By/s", "rate_bytes_per_second")]
    [InlineData("ratio", "1", "ratio")]
    [InlineData("9 lives-left", null, "_9_lives_left")]
    public void Names_are_those_of_the_format(string instrument, string? unit, string expected)
    {
        _meter.CreateObservableGauge(instrument, () => 1, unit);
        Assert.Equal(1, Scrape().Samples[expected]);
    }

    [Fact]
    public void A_histogram_counts_each_value_in_the_first_bucket_that_holds_it()
    {
        Histogram<double> seconds = _meter.CreateHistogram<double>("latency", "s");
        foreach (double value in (double[])[0, 1e-6, 1.5e-6, 0.001, 0.0011, 50, 51, double.NaN])
            seconds.Record(value, new KeyValuePair<string, object?>("op", "read"));

        Dictionary<string, double> samples = Scrape().Samples;

        Assert.Equal(2, samples["latency_seconds_bucket{op=\"read\",le=\"1E-06\"}"]);
        Assert.Equal(3, samples["latency_seconds_bucket{op=\"read\",le=\"2E-06\"}"]);
        Assert.Equal(4, samples["latency_seconds_bucket{op=\"read\",le=\"0.001\"}"]);
        Assert.Equal(5, samples["latency_seconds_bucket{op=\"read\",le=\"0.002\"}"]);
        Assert.Equal(6, samples["latency_seconds_bucket{op=\"read\",le=\"50\"}"]);
        Assert.Equal(8, samples["latency_seconds_count{op=\"read\"}"]);
    }

    [Fact]
    public void Buckets_that_an_instrument_advises_are_used()
    {
        var advice = new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1.5] };
        _meter.CreateHistogram("advised", "s", "Advised.", null, advice).Record(1);
        Assert.Equal(1, Scrape().Samples["advised_seconds_bucket{le=\"1.5\"}"]);
    }

    [Fact]
    public void Hostile_texts_are_escaped()
    {
        Counter<long> counter = _meter.CreateCounter<long>("odd", null, "Line one\nline \\two \"quoted\"");
        counter.Add(1, new KeyValuePair<string, object?>("export name", "a\"b\\c\nd{}=,"));
        counter.Add(1, new("le", null), new("n", 5));

        Dictionary<string, double> samples = Scrape().Samples;

        Assert.Equal(1, samples["odd_total{export_name=\"a\\\"b\\\\c\\nd{}=,\"}"]);
        Assert.Equal(1, samples["odd_total{le_=\"\",n=\"5\"}"]);
    }

    // A removed export must vanish, not stay at its last value for ever.
    [Fact]
    public void An_observed_series_that_is_not_reported_any_more_is_gone()
    {
        List<string> exports = ["a", "b"];
        _meter.CreateObservableGauge(
            "dirty",
            () => exports.Select(e => new Measurement<int>(1, new KeyValuePair<string, object?>("export", e))));
        Assert.True(Scrape().Samples.ContainsKey("dirty{export=\"b\"}"));

        exports.Remove("b");

        Assert.False(Scrape().Samples.ContainsKey("dirty{export=\"b\"}"));
        Assert.True(Scrape().Samples.ContainsKey("dirty{export=\"a\"}"));
        exports.Clear();
        Assert.DoesNotContain("dirty", Scrape().Types.Keys);
    }

    [Fact]
    public void An_instrument_that_fails_costs_its_own_lines_only_and_is_counted()
    {
        _meter.CreateObservableGauge("broken", Fail);
        _meter.CreateObservableGauge("fine", () => 1);

        PrometheusText text = Scrape();

        Assert.Equal(1, text.Samples["fine"]);
        Assert.Equal(1, text.Samples["zeroflow_metrics_failures_total"]);

        static int Fail() => throw new InvalidOperationException("no");
    }

    [Fact]
    public void A_tag_with_unbounded_values_is_cut_off_and_counted()
    {
        Counter<long> counter = _meter.CreateCounter<long>("wild");
        for (int i = 0; i < MetricFamily.SeriesMax + 10; i++)
            counter.Add(1, new KeyValuePair<string, object?>("id", i));

        PrometheusText text = Scrape();

        Assert.Equal(
            MetricFamily.SeriesMax,
            text.Samples.Keys.Count(key => key.StartsWith("wild_total{", StringComparison.Ordinal)));
        Assert.Equal(10, text.Samples["zeroflow_metrics_dropped_total"]);
    }

    [Fact]
    public void Other_meters_are_not_shown()
    {
        using var other = new Meter("other");
        other.CreateObservableGauge("foreign", () => 1);
        Assert.DoesNotContain("foreign", Scrape().Types.Keys);
    }

    [Fact]
    public void Families_and_series_come_in_the_same_order_each_time()
    {
        Counter<long> counter = _meter.CreateCounter<long>("z");
        foreach (string tag in (string[])["b", "a", "c"]) counter.Add(1, new KeyValuePair<string, object?>("t", tag));
        _meter.CreateCounter<long>("a").Add(1);

        string[] keys = [.. Scrape().Samples.Keys];

        Assert.Equal(["a_total", "z_total{t=\"a\"}", "z_total{t=\"b\"}", "z_total{t=\"c\"}"], keys[..4]);
        Assert.Equal(keys, Scrape().Samples.Keys);
    }

    // Recording is on the path of every request.
    [Fact]
    public void Recording_a_known_series_allocates_nothing()
    {
        Histogram<double> seconds = _meter.CreateHistogram<double>("latency", "s");
        Counter<long> counter = _meter.CreateCounter<long>("requests");
        var export = new KeyValuePair<string, object?>("export", "disk0");
        var operation = new KeyValuePair<string, object?>("op", "read");
        Record(10);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Record(1000);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Record(int times)
        {
            for (int i = 0; i < times; i++)
            {
                seconds.Record(i * 1e-6, export, operation);
                counter.Add(1, export);
                counter.Add(1);
            }
        }
    }

    // Threads record old and new series while others scrape; each scrape must be valid, and nothing may get lost.
    [Fact]
    public async Task Scrapes_beside_recording_are_valid_and_the_last_one_is_exact()
    {
        const int Writers = 4;
        const int Rounds = 3000;
        Counter<long> counter = _meter.CreateCounter<long>("hits");
        Histogram<double> seconds = _meter.CreateHistogram<double>("latency", "s");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Task[] writers = [.. Enumerable.Range(0, Writers).Select(_ => Task.Run(Write, cancellation))];
        while (!Task.WhenAll(writers).IsCompleted) Scrape();
        await Task.WhenAll(writers);

        Dictionary<string, double> samples = Scrape().Samples;

        double hits = samples.Where(s => s.Key.StartsWith("hits", StringComparison.Ordinal)).Sum(s => s.Value);
        Assert.Equal(Writers * Rounds, hits);
        Assert.Equal(Writers * Rounds, samples["latency_seconds_count"]);
        Assert.Equal(Writers * Rounds * 0.5, samples["latency_seconds_sum"]);

        void Write()
        {
            for (int i = 0; i < Rounds; i++)
            {
                counter.Add(1, new KeyValuePair<string, object?>("id", i % 300));
                seconds.Record(0.5);
            }
        }
    }

    public void Dispose()
    {
        _collector.Dispose();
        _meter.Dispose();
    }

    private PrometheusText Scrape() => PrometheusText.Parse(_collector.Scrape());
}
