using System.Globalization;
using System.Net.Sockets;
using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Traces;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>Which traces are replayed against which servers, and how.</summary>
internal sealed record ReplayPlan
{
    public required IReadOnlyList<Peer> Peers { get; init; }

    public required IReadOnlyList<Trace> Traces { get; init; }

    /// <summary>Closed loop: requests under way; null for none.</summary>
    public required int? Depth { get; init; }

    /// <summary>Open loop: multiple of the trace's speed; null for none.</summary>
    public required double? Speed { get; init; }

    public required int Rounds { get; init; }

    public required string? ZeroFlowPath { get; init; }

    /// <summary>Object store of ZeroFlow peers; each start has its own prefix in it. Null for a directory.</summary>
    public required string? StoreUrl { get; init; }

    public required string Directory { get; init; }

    public required double CompressRatio { get; init; }

    /// <summary>Load before each replay: a server that was just started is not what is measured.</summary>
    public required TimeSpan Warmup { get; init; }
}

/// <summary>
/// Replays every trace against every peer in each round, each time started afresh. Peers alternate and the one that
/// begins changes by round, so that what drifts on the machine meets all of them.
/// </summary>
internal sealed class ReplayComparison(ReplayPlan plan, TextWriter progress)
{
    private const long WarmupBytes = 64L * 1024 * 1024;
    private static readonly TimeSpan DrainMax = TimeSpan.FromMinutes(5);

    private readonly List<ReplayRun> _runs = [];
    private readonly List<FloorResult> _floors = [];
    private readonly List<string> _failures = [];

    public ReplayReport Run()
    {
        var work = Path.Combine(plan.Directory, $"zeroflow-replay-{Environment.ProcessId}");
        Directory.CreateDirectory(work);
        try
        {
            var conditions = Conditions.Capture(work, plan.Peers);
            for (var round = 1; round <= plan.Rounds; round++) RunRound(round, work);
            return new ReplayReport
            {
                Conditions = conditions with { LoadAverageAfter = Conditions.LoadAverage() },
                Settings = new ReplaySettings(
                    [.. plan.Peers.Select(peer => peer.Name)], plan.Rounds, plan.Depth, plan.Speed, plan.CompressRatio,
                    plan.Warmup.TotalSeconds, StoreKind(),
                    plan.Peers.ToDictionary(peer => peer.Name, peer => peer.Promise)),
                SyncFloors = _floors,
                Runs = _runs,
                Lines = ReplayReport.LinesOf(_runs),
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
        foreach (var trace in plan.Traces)
        {
            for (var turn = 0; turn < plan.Peers.Count; turn++)
            {
                var peer = plan.Peers[(round - 1 + turn) % plan.Peers.Count];
                if (plan.Depth is not null) TryRun(peer, trace, round, closed: true, work);
                if (plan.Speed is not null) TryRun(peer, trace, round, closed: false, work);
            }
        }
    }

    private void TryRun(Peer peer, Trace trace, int round, bool closed, string work)
    {
        try
        {
            var run = RunOne(peer, trace, round, closed, Path.Combine(work, "peer"));
            _runs.Add(run);
            progress.Write($"round {round} {peer.Name}: {ReplayText.Of(run.Result)}");
        }
        catch (Exception exception) when (exception is NbdException or SocketException or IOException)
        {
            var failure = string.Create(
                CultureInfo.InvariantCulture, $"round {round}, {peer.Name}, {trace.Name}: {exception.Message}");
            _failures.Add(failure);
            progress.WriteLine(failure);
        }
    }

    private ReplayRun RunOne(Peer peer, Trace trace, int round, bool closed, string directory)
    {
        using var process = PeerProcess.Start(peer, new PeerContext
        {
            Directory = directory,
            ExportBytes = Math.Max(trace.SpanBytes, WarmupBytes),
            ZeroFlowPath = plan.ZeroFlowPath,
            StoreUrl = plan.StoreUrl is null ? null : OwnPrefix(plan.StoreUrl),
        });
        WarmUp(process);
        using var meter = process.Command.MetricsUri is { } page ? new StoreMeter(page) : null;
        meter?.WaitUntilDrained(DrainMax);
        var before = meter?.Read();
        var load = Conditions.LoadAverage();
        var begun = LoadWindow.Now();
        using var replay = new TraceReplay(trace, new ReplayOptions
        {
            Uri = process.Command.Uri,
            Depth = closed ? plan.Depth : null,
            Speed = plan.Speed ?? 1,
            CompressRatio = plan.CompressRatio,
            Seed = round,
            ServerPid = process.Pid,
        });
        var result = replay.Run();
        if (meter is null) return new ReplayRun(peer.Name, round, closed, load, result, null);

        if (!meter.WaitUntilDrained(DrainMax))
            throw new NbdException("The object store did not get everything in time.");
        var seconds = (LoadWindow.Now() - begun) / 1e9;
        return new ReplayRun(
            peer.Name, round, closed, load, result, ReplayStoreUse.Of(meter.Read().Since(before!), result, seconds));
    }

    private void WarmUp(PeerProcess process)
    {
        if (plan.Warmup <= TimeSpan.Zero) return;
        var options = new LoadOptions
        {
            Uri = process.Command.Uri,
            Case = new WorkloadCase(Workload.Parse("write4k+flush"), 8, 1),
            Duration = plan.Warmup,
            Warmup = TimeSpan.Zero,
            RegionBytes = WarmupBytes,
            CompressRatio = plan.CompressRatio,
        };
        using (var runner = new LoadRunner(options)) runner.Run();
        LoadRunner.Flush(options);
    }

    private string StoreKind() => plan.StoreUrl is null ? "a local directory" : plan.StoreUrl.Split(':')[0];

    private static string OwnPrefix(string url)
    {
        var query = url.IndexOf('?', StringComparison.Ordinal);
        var own = $"-{Guid.NewGuid():N}";
        return query < 0 ? url + own : url.Insert(query, own);
    }
}
