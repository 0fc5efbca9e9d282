using System.Globalization;
using System.Net.Sockets;
using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Peers;

/// <summary>What to compare, and how.</summary>
internal sealed record ComparePlan
{
    public required IReadOnlyList<Peer> Peers { get; init; }

    public required IReadOnlyList<WorkloadCase> Cases { get; init; }

    public required Peer Base { get; init; }

    public required int Rounds { get; init; }

    public required TimeSpan Duration { get; init; }

    public required TimeSpan Warmup { get; init; }

    public required string? ZeroFlowPath { get; init; }

    public required string Directory { get; init; }

    public required long ExportMib { get; init; }

    public required long RegionMib { get; init; }

    /// <summary>Pause after filling the region: a server that works on in the background may finish.</summary>
    public required TimeSpan Settle { get; init; }

    public required double CompressRatio { get; init; }

    public required int Seed { get; init; }
}

/// <summary>
/// Runs every case against every peer in each round, each peer started afresh. Peers alternate and the one that begins
/// changes by round, so that what drifts on the machine (heat, neighbours, a filling disk) meets all of them.
/// </summary>
internal sealed class Comparison(ComparePlan plan, TextWriter progress)
{
    private readonly List<CompareRun> _runs = [];
    private readonly List<FloorResult> _floors = [];
    private readonly List<string> _failures = [];
    private readonly Dictionary<string, string> _commands = [];

    public CompareReport Run()
    {
        var work = Path.Combine(plan.Directory, $"zeroflow-perf-{Environment.ProcessId}");
        Directory.CreateDirectory(work);
        try
        {
            var conditions = Conditions.Capture(work, plan.Peers);
            for (var round = 1; round <= plan.Rounds; round++) RunRound(round, work);
            return new CompareReport
            {
                Conditions = conditions with { LoadAverageAfter = Conditions.LoadAverage() },
                Settings = new CompareSettings(
                    [.. plan.Peers.Select(peer => peer.Name)], plan.Base.Name, plan.Rounds, plan.Duration.TotalSeconds,
                    plan.Warmup.TotalSeconds, plan.ExportMib, plan.RegionMib, plan.Settle.TotalSeconds,
                    plan.CompressRatio,
                    plan.Peers.ToDictionary(peer => peer.Name, peer => peer.Promise), _commands),
                SyncFloors = _floors,
                Runs = _runs,
                Lines = CompareReport.LinesOf(_runs),
                Failures = _failures,
            };
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }

    private void RunRound(int round, string work)
    {
        _floors.Add(SyncFloor.Run(work, TimeSpan.FromSeconds(1), preallocated: true));
        for (var turn = 0; turn < plan.Peers.Count; turn++)
        {
            var peer = plan.Peers[(round - 1 + turn) % plan.Peers.Count];
            try
            {
                var start = string.Create(CultureInfo.InvariantCulture, $"{peer.Name}-{round}");
                RunPeer(peer, round, Path.Combine(work, start));
            }
            catch (Exception exception) when (exception is NbdException or SocketException or IOException)
            {
                Fail(peer, round, "start", exception);
            }
        }
    }

    private void RunPeer(Peer peer, int round, string directory)
    {
        using var process = PeerProcess.Start(peer, new PeerContext
        {
            Directory = directory,
            ExportBytes = plan.ExportMib * 1024 * 1024,
            ZeroFlowPath = plan.ZeroFlowPath,
        });
        _commands[peer.Name] = Portable(process.Command, directory);
        var options = new LoadOptions
        {
            Uri = process.Command.Uri,
            Case = plan.Cases[0],
            Duration = plan.Duration,
            Warmup = plan.Warmup,
            RegionBytes = plan.RegionMib * 1024 * 1024,
            CompressRatio = plan.CompressRatio,
            Seed = plan.Seed + round,
            ServerPid = process.Pid,
        };
        LoadRunner.FillRegion(options);
        Thread.Sleep(plan.Settle);
        foreach (var item in plan.Cases) RunCase(peer, round, options with { Case = item });
    }

    private void RunCase(Peer peer, int round, LoadOptions options)
    {
        try
        {
            LoadRunner.Flush(options);
            var load = Conditions.LoadAverage();
            using var runner = new LoadRunner(options);
            var result = runner.Run();
            _runs.Add(new CompareRun(peer.Name, round, load, result));
            progress.Write($"round {round} {peer.Name}: {ResultText.Of(result)}");
        }
        catch (Exception exception) when (exception is NbdException or SocketException)
        {
            Fail(peer, round, options.Case.Name, exception);
        }
    }

    private void Fail(Peer peer, int round, string what, Exception exception)
    {
        var failure = string.Create(
            CultureInfo.InvariantCulture, $"round {round}, {peer.Name}, {what}: {exception.Message}");
        _failures.Add(failure);
        progress.WriteLine(failure);
    }

    /// <summary>A command line without the places of this run, so that reports can be compared and published.</summary>
    private static string Portable(PeerCommand command, string directory) =>
        string.Join(' ', command.Arguments.Prepend(Path.GetFileName(command.Program)))
            .Replace(directory, "DIR", StringComparison.Ordinal);
}
