using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Tests;

// The server that was built, beside nbdkit on the same machine in turns, held against what perf/expectations.json says.
public sealed class SpeedGateTests
{
    [Fact]
    public void It_is_not_several_times_slower_beside_its_peers_than_it_was()
    {
        bool hasPeer = Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(static place => File.Exists(Path.Combine(place, "nbdkit")));
        if (!hasPeer && Environment.GetEnvironmentVariable("CI") != "true") Assert.Skip("nbdkit is not installed.");
        string root = RootOf(AppContext.BaseDirectory);
        IReadOnlyList<Expectation> expected = Expectations.Parse(File.ReadAllText(Path.Combine(root, "perf/expectations.json")));
        Peer ours = Peer.Named("zeroflow");
        string configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        var plan = new ComparePlan
        {
            Peers = [ours, .. expected.Select(static one => one.Peer).Distinct().Select(Peer.Named)],
            Cases = [.. expected.Select(static one => one.Case).Distinct().Select(WorkloadCase.Parse)],
            Base = ours,
            Rounds = 2,
            Duration = TimeSpan.FromSeconds(0.7),
            Warmup = TimeSpan.FromSeconds(0.7),
            ZeroFlowPath = Path.Combine(root, "src/Host/bin", configuration, "net10.0/zeroflow"),
            Directory = Path.GetTempPath(),
            ExportMib = 256,
            RegionMib = 64,
            Settle = TimeSpan.FromSeconds(0.5),
            CompressRatio = 2,
            Seed = 1,
        };
        CompareReport report = new Comparison(plan, TextWriter.Null).Run();
        IReadOnlyList<ExpectationResult> results = Expectations.Check(expected, report.Lines, ours.Name);
        string text = Expectations.TextOf(results);
        TestContext.Current.TestOutputHelper!.WriteLine(text);
        Assert.Empty(report.Failures);
        Assert.True(results.All(static result => result.IsMet), text);
    }

    private static string RootOf(string path) =>
        File.Exists(Path.Combine(path, "ZeroFlow.sln")) ? path : RootOf(Path.GetDirectoryName(path)!);
}
