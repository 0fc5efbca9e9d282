using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Pgbench;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Tests.Plots;

namespace ZeroFlow.Perf.Tests.Pgbench;

public sealed class PgbenchReportTests
{
    private static readonly PgbenchReport Report = Of(
        Run("zeroflow", 20, 1, 200, Use(puts: 40, gets: 10, lag: 1.5)), Run("zeroflow", 20, 2, 100, Use(puts: 60, gets: 30, lag: 2.5)),
        Run("nbdkit-file", null, 1, 100, null), Run("nbdkit-file", null, 2, 200, null));

    [Fact]
    public void Requests_and_their_cost_are_those_of_a_million_transactions()
    {
        PgbenchLine line = Report.Lines.Single(static line => line.Peer == "zeroflow");

        // 1000 transactions in each round.
        Assert.Equal(new Statistics.Spread(70, 50, 90), line.RequestsPerThousand);
        Assert.Equal(((40 * 0.005) + (10 * 0.0004)) / 1000 * 1000, line.DollarsPerMillion!.Min, 1e-12);
        Assert.Equal(((60 * 0.005) + (30 * 0.0004)) / 1000 * 1000, line.DollarsPerMillion.Max, 1e-12);
        Assert.Equal(2.5, line.LagSeconds!.Max);
        Assert.Equal(2048, line.SentBytesPerTransaction!.Median);
        Assert.Null(Report.Lines.Single(static line => line.Peer == "nbdkit-file").RequestsPerThousand);
    }

    [Fact]
    public void Multiples_are_of_the_local_disk_and_stand_in_table_and_picture()
    {
        Assert.Equal(
            new Statistics.Ratio(1, 0.5, 2), Report.RatioOf(Report.Lines.Single(static line => line.Peer == "zeroflow")));
        string text = Report.Markdown("title");
        Assert.Contains("## TPC-B, synchronous_commit on, scale 2", text, StringComparison.Ordinal);
        Assert.Contains("| zeroflow | 20 | 150.0 (100.0..200.0) | 1.00x, 0.50..2.00 |", text, StringComparison.Ordinal);
        var picture = new SvgPicture(Report.Plots("title").Single(static plot => plot.Suffix == "tps"));
        Assert.Contains("zeroflow, 20 ms", picture.Texts);
        Assert.Contains("A note.", picture.Texts);
        Assert.Contains("**A note.**", text, StringComparison.Ordinal);
        Assert.Contains("150 (1.00\u00d7)", picture.Texts);
        Assert.Equal($"mark {PlotColors.ClassOf("zeroflow")}", picture.Marked("rect", "zeroflow, 20 ms, ").Attribute("class")!.Value);
    }

    [Fact]
    public void It_is_read_as_it_was_written()
    {
        IReport read = StoredReport.Parse(JsonFile.Serialize(Report));
        Assert.IsType<PgbenchReport>(read);
        Assert.Equal(Report.Markdown("title"), read.Markdown("title"));
        Assert.Equal(Report.Plots("title").Select(static plot => plot.Svg), read.Plots("title").Select(static plot => plot.Svg));
    }

    [Fact]
    public void Only_what_reaches_an_object_store_is_measured_at_each_latency()
    {
        Peer[] peers = [.. new[] { "zeroflow", "nbdkit-file", "s3backer-sync", "emulated-barrier" }.Select(Peer.Named)];
        Assert.Equal(
            ["zeroflow 0", "zeroflow 20", "nbdkit-file ", "s3backer-sync 0", "s3backer-sync 20", "emulated-barrier 0", "emulated-barrier 20"],
            PgbenchBackend.Of(peers, [0, 20]).Select(static backend => $"{backend.Peer.Name} {backend.MedianMs}"));
    }

    private static PgbenchReport Of(params PgbenchRun[] runs) => new()
    {
        Conditions = Sample.Conditions,
        Settings = new PgbenchSettings(
            [2], 2, 10, 8, 0.25, 1024, "A note.", new Dictionary<string, string> { ["zeroflow"] = "promise", ["nbdkit-file"] = "promise" }),
        Runs = runs,
        Lines = PgbenchReport.LinesOf(runs),
        Failures = [],
    };

    private static PgbenchRun Run(string peer, double? median, int round, double tps, PgbenchStoreUse? use) =>
        new(peer, median, round, 2, "tpcb-commit", "0 0 0", tps, 1000, 2000, 1000, use);

    private static PgbenchStoreUse Use(long puts, long gets, double lag) => new(
        new ProxyUse(
            new Dictionary<string, long> { ["PUT"] = puts, ["GET"] = gets }, new Dictionary<int, long>(), 2048 * 1000, 0),
        lag, 0.5);
}
