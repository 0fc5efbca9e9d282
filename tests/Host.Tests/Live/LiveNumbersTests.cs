using ZeroFlow.Host.Live;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Tests.Live;

// Rates, quantiles, costs and states, from numbers that a test makes up.
public sealed class LiveNumbersTests
{
    private const long Gigabyte = 1L << 30;

    private static readonly DateTimeOffset Noon = new(2026, 11, 28, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_rate_is_the_growth_over_the_time_and_a_counter_that_began_anew_counts_from_zero()
    {
        var change = new LiveChange(Reading(Sample("n", 100)), Reading(Sample("n", 160)), 2);
        Assert.Equal(30, change.Rate("n"));
        Assert.Equal(80, new LiveChange(Reading(Sample("n", 160)), Reading(Sample("n", 40)), 0.5).Rate("n"));
        Assert.Equal(0, new LiveChange(LiveReading.Empty(0), Reading(Sample("n", 40)), 0).Rate("n"));
    }

    [Theory]
    [InlineData(0.5, 2.0)]
    [InlineData(0.25, 1.0)]
    [InlineData(0.75, 3.0)]
    [InlineData(1.0, 4.0)]
    public void A_quantile_lies_within_its_bucket(double share, double expected) =>
        Assert.Equal(expected, LiveChange.Quantile([10, 20, 10, 0], [1.0, 3.0, 4.0], share));

    [Fact]
    public void What_is_beyond_the_last_bound_counts_as_it_and_no_sample_has_no_quantile()
    {
        Assert.Equal(4, LiveChange.Quantile([0, 0, 0, 7], [1.0, 3.0, 4.0], 0.5));
        Assert.Null(LiveChange.Quantile([0, 0, 0, 0], [1.0, 3.0, 4.0], 0.5));
    }

    [Fact]
    public void A_latency_is_of_the_time_between_alone()
    {
        var before = new MetricSample(new Dictionary<string, string>(), 0, [100, 0, 0], [1.0, 2.0]);
        var now = new MetricSample(new Dictionary<string, string>(), 0, [100, 10, 0], [1.0, 2.0]);
        Assert.Equal(1.5, new LiveChange(Reading(("h", [before])), Reading(("h", [now])), 1).Latency("h").P50);
    }

    // 36,000 PUTs, 3,600 LISTs, 360,000 GETs of 1 MB and 100 deletes in an hour, beside a terabyte.
    [Fact]
    public void A_day_costs_what_the_price_list_says()
    {
        LiveReading now = Reading(
            ("zeroflow_store_requests_total",
            [
                Request("create", "ok", 30_000), Request("create", "exists", 6_000), Request("create", "transient", 999), Request("list", "ok", 3_600),
                Request("get", "ok", 360_000), Request("delete", "ok", 100),
            ]),
            ("zeroflow_store_bytes_total", [new MetricSample(new Dictionary<string, string> { ["type"] = "get" }, 360e9, [], [])]),
            Sample("zeroflow_store_tables_bytes", 900e9),
            Sample("zeroflow_store_map_bytes", 100e9));
        LiveCost cost = LiveCosts.Of(new PriceList { TransferGigabyte = 0.01 }, new LiveChange(Reading(), now, 3600));
        Assert.Equal(39.6 * 24 * 0.005, cost.PutsPerDay, 6);
        Assert.Equal(360 * 24 * 0.0004, cost.GetsPerDay, 6);
        Assert.Equal(1000 * 0.023 / 30, cost.StoragePerDay, 6);
        Assert.Equal(360 * 24 * 0.01, cost.TransferPerDay, 6);
        Assert.Equal(cost.PutsPerDay + cost.GetsPerDay + cost.StoragePerDay + cost.TransferPerDay, cost.PerDay, 6);
    }

    [Fact]
    public void An_outage_says_when_writes_will_wait()
    {
        LiveState state = StateOf(Status(isReachable: false, dirty: Gigabyte), Wal(Gigabyte, 4 * Gigabyte, growth: Gigabyte / 140.0));
        Assert.Equal(("bucketAway", LiveLevel.Warning, Noon), (state.Kind, state.Level, state.Since));
        Assert.Equal(420, state.WalFullInSeconds!.Value, 3);
        Assert.Contains("writes will wait in about 7 minutes", state.Detail, StringComparison.Ordinal);
        Assert.Equal("it is gone", state.Reason);
    }

    [Fact]
    public void A_full_log_is_told_whether_the_bucket_is_away_or_slow()
    {
        LiveWal full = Wal((4 * Gigabyte) - 1, 4 * Gigabyte, growth: 0);
        Assert.Equal("bucketAwayFull", StateOf(Status(isReachable: false, dirty: full.DirtyBytes), full).Kind);
        LiveState slow = StateOf(Status(isReachable: true, dirty: full.DirtyBytes), full);
        Assert.Equal(("walFull", LiveLevel.Critical, (DateTimeOffset?)null), (slow.Kind, slow.Level, slow.Since));
    }

    [Theory]
    [InlineData(0.2, 1e6, "healthy")]
    [InlineData(0.6, 1e6, "walFilling")]
    [InlineData(0.6, -1e6, "healthy")]
    public void A_log_that_fills_is_worth_a_look_from_half_on(double share, double growth, string kind)
    {
        long dirty = (long)(share * 4 * Gigabyte);
        Assert.Equal(kind, StateOf(Status(isReachable: true, dirty), Wal(dirty, 4 * Gigabyte, growth)).Kind);
    }

    [Fact]
    public void Fenced_is_worse_than_everything_else()
    {
        StoreStatus status = Status(isReachable: false, dirty: 0) with { IsFenced = true, Fault = "Epoch 7 is another's." };
        LiveState state = LiveStates.Of(new ServerState.Snapshot(ServerPhase.Failed, "fenced"), status, Wal(0, Gigabyte, 0));
        Assert.Equal(("fenced", LiveLevel.Critical), (state.Kind, state.Level));
        Assert.Equal("Epoch 7 is another's.", state.Reason);
    }

    private static LiveState StateOf(StoreStatus status, LiveWal wal) =>
        LiveStates.Of(new ServerState.Snapshot(ServerPhase.Ready, "clients can attach"), status, wal);

    private static StoreStatus Status(bool isReachable, long dirty) =>
        new(false, null, isReachable, isReachable ? null : "it is gone", dirty, TimeSpan.FromSeconds(3), 1, 2, Noon, 4 * Gigabyte);

    private static LiveWal Wal(long dirty, long limit, double growth) =>
        new(dirty, limit, dirty, 0, 3, growth, 0, new LiveLatency(null, null), 0);

    private static MetricSample Request(string type, string result, double count) =>
        new(new Dictionary<string, string> { ["type"] = type, ["result"] = result }, count, [], []);

    private static (string, MetricSample[]) Sample(string family, double value) =>
        (family, [new MetricSample(new Dictionary<string, string>(), value, [], [])]);

    private static LiveReading Reading(params (string Family, MetricSample[] Samples)[] families) =>
        new(0, families.ToDictionary(static family => family.Family, static family => family.Samples));
}
