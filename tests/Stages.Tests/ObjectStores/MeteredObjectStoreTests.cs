using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class MeteredObjectStoreTests : IAsyncDisposable
{
    private readonly ManualTimeProvider _time = new();
    private readonly PipelineMetrics _metrics = new();
    private readonly SimulatedObjectStore _inner;
    private readonly MeteredObjectStore _store;
    private readonly MeterListener _listener = new();
    private readonly Dictionary<string, double> _sums = [];

    public MeteredObjectStoreTests()
    {
        _inner = new SimulatedObjectStore(_time);
        _store = new MeteredObjectStore(_inner, _metrics, _time);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (ReferenceEquals(instrument.Meter, _metrics.Meter)) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.Start();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _store.DisposeAsync();
        _metrics.Dispose();
    }

    [Fact]
    public async Task Requests_are_counted_by_type_and_result_and_bytes_by_type()
    {
        await _store.TryCreateAsync("x", new byte[100], Cancellation);
        await _store.TryCreateAsync("x", new byte[100], Cancellation);
        await _store.WriteAsync("y", new byte[10], Cancellation);
        await _store.TryReadAsync("none", 10, Cancellation);
        await _store.TryReadAsync("x", 100, Cancellation);
        await _store.ReadRangeAsync("x", 0, new byte[7], Cancellation);
        await _store.DeleteAsync("y", Cancellation);

        Assert.Equal(1, Sum("zeroflow.store.requests create ok"));
        Assert.Equal(1, Sum("zeroflow.store.requests create exists"));
        Assert.Equal(1, Sum("zeroflow.store.requests write ok"));
        Assert.Equal(1, Sum("zeroflow.store.requests get missing"));
        Assert.Equal(2, Sum("zeroflow.store.requests get ok"));
        Assert.Equal(1, Sum("zeroflow.store.requests delete ok"));
        Assert.Equal(100, Sum("zeroflow.store.bytes create"));
        Assert.Equal(10, Sum("zeroflow.store.bytes write"));
        Assert.Equal(107, Sum("zeroflow.store.bytes get"));
    }

    // The meter sits below the retries: each failed attempt costs money and counts.
    [Fact]
    public async Task Every_attempt_below_the_retries_counts()
    {
        var health = new StoreHealth(_time, NullLoggerFactory.Instance);
        var retrying = new RetryingObjectStore(_store, RetryPolicy.ForUploads, health, _time, new Random(1));
        _inner.FailNext(new StoreFault(ObjectStoreErrorKind.Transient), times: 2);
        _inner.FailNext(new StoreFault(ObjectStoreErrorKind.Throttled));
        Task<bool> create = retrying.TryCreateAsync("x", new byte[5], Cancellation);
        await _time.RunUntilDoneAsync(create, TimeSpan.FromMilliseconds(50), TimeSpan.FromHours(1));
        Assert.Equal(2, Sum("zeroflow.store.requests create transient"));
        Assert.Equal(1, Sum("zeroflow.store.requests create throttled"));
        Assert.Equal(1, Sum("zeroflow.store.requests create ok"));
        Assert.Equal(5, Sum("zeroflow.store.bytes create"));
    }

    [Fact]
    public async Task A_listing_counts_by_the_thousand_and_durations_are_in_seconds()
    {
        for (int i = 0; i < 1500; i++) _inner.Plant($"k/{i:d5}", new byte[1]);
        int count = 0;
        await foreach (ObjectEntry _ in _store.ListAsync("k/", null, Cancellation)) count++;
        Assert.Equal(1500, count);
        Assert.Equal(2, Sum("zeroflow.store.requests list ok"));

        _inner.Faults = new StoreFaults { LatencyMin = TimeSpan.FromSeconds(2), LatencyMax = TimeSpan.FromSeconds(2) };
        Task write = _store.WriteAsync("x", new byte[1], Cancellation);
        _time.Advance(TimeSpan.FromSeconds(2));
        await write;
        Assert.Equal(2.0, Sum("zeroflow.store.request.duration write"));
    }

    private double Sum(string name)
    {
        lock (_sums) return _sums.GetValueOrDefault(name);
    }

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string name = instrument.Name;
        foreach (KeyValuePair<string, object?> tag in tags) name += $" {tag.Value}";
        lock (_sums) _sums[name] = _sums.GetValueOrDefault(name) + value;
    }
}
