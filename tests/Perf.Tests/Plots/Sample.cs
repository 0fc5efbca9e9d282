using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Tests.Plots;

/// <summary>Reports of figures that a test chooses.</summary>
internal static class Sample
{
    public static CompareReport Report(IReadOnlyList<string> peers, params CompareRun[] runs) => new()
    {
        Conditions = Conditions,
        Settings = new CompareSettings(
            peers, peers[0], runs.Select(static run => run.Round).DefaultIfEmpty(1).Max(), 1, 0, 1, 1, 0, 2,
            peers.ToDictionary(static peer => peer, static peer => "promise of " + peer),
            new Dictionary<string, string>()),
        SyncFloors = [],
        Runs = runs,
        Failures = [],
        Lines = CompareReport.LinesOf(runs),
    };

    /// <summary>A second in which so many requests were answered, for so much CPU, with these percentiles.</summary>
    public static CompareRun Run(
        string peer, int round, long requests, double cpuSeconds = 0.5, string name = "read4k@1", double p50 = 100,
        double p99 = 1000, double p999 = 10_000) => new(peer, round, "0 0 0", new LoadResult
        {
            Case = name,
            ElapsedSeconds = 1,
            Requests = requests,
            Bytes = 0,
            Unsent = 0,
            Cpu = new CpuUse(cpuSeconds, 0.1, 0.5, 0),
            Latency = new Dictionary<OperationKind, LatencySummary>
            {
                [OperationKind.Read] = new(requests, p50, p50, p99, p99, p999, p999),
            },
        });

    public static Conditions Conditions { get; } = new()
    {
        Date = DateTimeOffset.UnixEpoch,
        Kernel = "kernel",
        Processor = "processor",
        Cores = 2,
        MemoryMib = 1,
        Filesystem = "ext4",
        Runtime = "runtime",
        Commit = "commit",
        LoadAverageBefore = "0 0 0",
        Versions = new Dictionary<string, string>(),
    };
}
