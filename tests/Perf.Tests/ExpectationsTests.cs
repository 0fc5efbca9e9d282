using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Tests;

public sealed class ExpectationsTests
{
    [Theory]
    [InlineData("requests", "atLeast", 2.0, true)]
    [InlineData("requests", "atLeast", 2.01, false)]
    [InlineData("requests", "atMost", 1.99, false)]
    [InlineData("serverCpu", "atMost", 0.5, true)]
    [InlineData("serverCpu", "atMost", 0.49, false)]
    [InlineData("serverCpu", "atLeast", 0.51, false)]
    public void A_ratio_is_held_against_its_bound(string figure, string bound, double value, bool isMet)
    {
        IReadOnlyList<Expectation> expected = Expectations.Parse(FormattableString.Invariant(
            $$"""[{ "case": "read4k@1", "peer": "peer", "figure": "{{figure}}", "{{bound}}": {{value}} }]"""));
        ExpectationResult result = Assert.Single(Expectations.Check(expected, [Line("ours", 200, 5), Line("peer", 100, 10)], "ours"));
        Assert.Equal(figure == "requests" ? 2.0 : 0.5, result.Ratio);
        Assert.Equal(isMet, result.IsMet);
        Assert.StartsWith(isMet ? "ok" : "FAILED", Expectations.TextOf([result]), StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_not_measured_is_not_met()
    {
        IReadOnlyList<Expectation> expected = Expectations.Parse(
            """[{ "case": "read4k@1", "peer": "away", "figure": "requests", "atMost": 100 }]""");
        ExpectationResult result = Assert.Single(Expectations.Check(expected, [Line("ours", 200, 5)], "ours"));
        Assert.Null(result.Ratio);
        Assert.False(result.IsMet);
        Assert.Contains("not measured", Expectations.TextOf([result]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("nonsense")]
    [InlineData("""[{ "case": "read4k@1", "peer": "p", "figure": "requests" }]""")]
    [InlineData("""[{ "case": "read4k@1", "peer": "p", "figure": "requests", "atleast": 1 }]""")]
    [InlineData("""[{ "case": "read4k@1", "peer": "p", "figure": "speed", "atLeast": 1 }]""")]
    public void A_file_that_expects_nothing_is_refused(string json) =>
        Assert.Throws<FormatException>(() => Expectations.Parse(json));

    private static CompareLine Line(string peer, double requests, double cpu) => new()
    {
        Case = "read4k@1",
        Peer = peer,
        RequestsPerSecond = Spread.Of([requests]),
        MebibytesPerSecond = Spread.Of([1]),
        ServerCpuMicrosPerRequest = Spread.Of([cpu]),
        ClientCpuMicrosPerRequest = Spread.Of([1]),
        BusyShare = Spread.Of([1]),
        Latency = new Dictionary<OperationKind, LatencyLine>(),
    };
}
