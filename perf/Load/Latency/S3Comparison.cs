using System.Globalization;
using System.Net.Sockets;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Perf.Latency;

/// <summary>What to measure over S3.</summary>
internal sealed record S3Plan
{
    public required S3Place Place { get; init; }

    /// <summary>Medians of the latency that the proxy adds, in milliseconds.</summary>
    public required IReadOnlyList<double> MediansMs { get; init; }

    public required double Sigma { get; init; }

    public required int Rounds { get; init; }

    public required TimeSpan Duration { get; init; }

    /// <summary>How much is written before and read cold; the size of the exports as well.</summary>
    public required long RegionBytes { get; init; }

    public required string ZeroFlowPath { get; init; }

    public required string Directory { get; init; }

    /// <summary>Servers whose random writes are compared.</summary>
    public required IReadOnlyList<Peer> Writers { get; init; }
}

/// <summary>
/// Measures, at each latency: a published FLUSH beside one PUT of the same bytes; cold reads beside plain ranged GETs;
/// random writes of several servers. All of them go through the same proxy, which counts.
/// </summary>
internal sealed class S3Comparison(S3Plan plan, TextWriter progress)
{
    private const string Flushes = "1. published FLUSH behind a 4 KiB write, one at a time";
    private const string Stream = "2. cold sequential read";
    private const string Points = "3. cold random reads of 8 KiB, depth 16";
    private const string Writes = "4. random writes of 8 KiB, depth 16";
    private const string Commits = "5. random writes of 8 KiB, each with a FLUSH, 16 at once";
    private static readonly TimeSpan DrainMax = TimeSpan.FromMinutes(10);

    /// <summary>Whether a case is about MiB a second: its requests differ in size from those that they are held against.</summary>
    public static bool IsByBytes(string name) => name == Stream;

    private readonly List<S3Run> _runs = [];
    private readonly List<string> _failures = [];
    private readonly string _prefix = $"perf-{Guid.NewGuid():N}";
    private string _work = "";
    private int _starts;

    public async Task<S3Report> RunAsync(CancellationToken stop)
    {
        // Loads wait inside pool threads while the proxy needs others: the pool would add them one a second.
        ThreadPool.SetMinThreads(16, 16);
        _work = Path.Combine(plan.Directory, $"zeroflow-s3-{Environment.ProcessId}");
        Directory.CreateDirectory(_work);
        try
        {
            Peer[] peers = [Peer.Named("zeroflow"), Peer.Named("zeroflow-published"), .. plan.Writers];
            var conditions = Conditions.Capture(_work, peers.Distinct());
            await FillAsync();
            for (var round = 1; round <= plan.Rounds; round++)
            {
                foreach (var median in plan.MediansMs) await RunAtAsync(round, median, stop);
            }

            return new S3Report
            {
                Conditions = conditions with { LoadAverageAfter = Conditions.LoadAverage() },
                Promises = peers.Distinct().ToDictionary(peer => peer.Name, peer => peer.Promise),
                Rounds = plan.Rounds,
                Seconds = plan.Duration.TotalSeconds,
                RegionMib = plan.RegionBytes >> 20,
                Sigma = plan.Sigma,
                Runs = _runs,
                Lines = S3Report.LinesOf(_runs),
                Failures = _failures,
            };
        }
        finally
        {
            Directory.Delete(_work, recursive: true);
        }
    }

    // What is read cold is written once, without the proxy.
    private async Task FillAsync()
    {
        var url = plan.Place.Url(_prefix, plan.Place.Server.Port);
        await using (var floor = new S3Floor(url)) await floor.FillAsync(plan.RegionBytes);
        using var process = Start(Peer.Named("zeroflow"), url);
        LoadRunner.FillRegion(OptionsOf(process, "read4k@1"));
        using var meter = new StoreMeter(process.Command.MetricsUri!);
        if (!meter.WaitUntilDrained(DrainMax)) throw new NbdException("The region did not reach the object store.");
        await progress.WriteLineAsync("filled");
    }

    private async Task RunAtAsync(int round, double median, CancellationToken stop)
    {
        using var proxy = new DelayProxy(
            0, plan.Place.Server, new LatencyLaw(TimeSpan.FromMilliseconds(median), plan.Sigma, round));
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var running = proxy.RunAsync(ending.Token);
        var at = new At(round, median, proxy);
        await TryAsync(at, Flushes, () => MeasureFlushesAsync(at));
        await TryAsync(at, Stream, () => MeasureReadsAsync(at, Stream, "onceread128k@8", 4 << 20, 8, sequential: true));
        await TryAsync(at, Points, () => MeasureReadsAsync(at, Points, "randread8k@16", 8192, 16, sequential: false));
        for (var turn = 0; turn < plan.Writers.Count; turn++)
        {
            var peer = plan.Writers[(round - 1 + turn) % plan.Writers.Count];
            await TryAsync(at, $"{Writes}, {peer.Name}", () => Task.Run(() => MeasureWrites(at, peer)));
        }

        await ending.CancelAsync();
        await running;
    }

    private async Task MeasureFlushesAsync(At at)
    {
        int putBytes;
        using (var process = Start(Peer.Named("zeroflow-published"), Own(at)))
        {
            var run = await Task.Run(() => MeasureLoad(at, Flushes, process, "write4k+flush@1", OperationKind.Flush));
            putBytes = (int)(run.Use.SentBytes / Math.Max(1, run.Use.Of("PUT")));
        }

        await using var floor = new S3Floor(Own(at));
        var before = at.Proxy.Counts.Read();
        var put = await floor.PutAsync(putBytes, plan.Duration);
        Add(at, Flushes, "one PUT of as many bytes", put, before);
    }

    private async Task MeasureReadsAsync(At at, string name, string load, int rangeBytes, int parallel, bool sequential)
    {
        var url = plan.Place.Url(_prefix, at.Proxy.Port);
        using (var process = Start(Peer.Named("zeroflow"), url))
            await Task.Run(() => MeasureLoad(at, name, process, load, OperationKind.Read));

        await using var floor = new S3Floor(url);
        var before = at.Proxy.Counts.Read();
        var get = await floor.GetAsync(rangeBytes, parallel, sequential, plan.RegionBytes, plan.Duration);
        var size = rangeBytes >= 1 << 20 ? $"{rangeBytes >> 20} MiB" : $"{rangeBytes >> 10} KiB";
        Add(at, name, $"GETs of {size}, {parallel} at once", get, before);
    }

    private void MeasureWrites(At at, Peer peer)
    {
        using var process = Start(peer, Own(at));
        MeasureLoad(at, Writes, process, "randwrite8k@16", OperationKind.Write);
        LoadRunner.Flush(OptionsOf(process, "randwrite8k@16"));
        MeasureLoad(at, Commits, process, "randwrite8k+flush@16", OperationKind.Flush);
    }

    private S3Run MeasureLoad(At at, string name, PeerProcess process, string load, OperationKind kind)
    {
        using var runner = new LoadRunner(OptionsOf(process, load));
        var before = at.Proxy.Counts.Read();
        var result = runner.Run();
        var run = new S3Run(
            at.Round, at.MedianMs, name, process.Peer.Name,
            kind == OperationKind.Flush ? result.Latency[kind].Count / result.ElapsedSeconds : result.RequestsPerSecond,
            result.MebibytesPerSecond, result.Latency[kind], at.Proxy.Counts.Read().Since(before));
        Add(run);
        return run;
    }

    private void Add(At at, string name, string who, FloorRun run, ProxyUse before) => Add(new S3Run(
        at.Round, at.MedianMs, name, who, run.PerSecond, run.MebibytesPerSecond, run.Latency,
        at.Proxy.Counts.Read().Since(before)));

    private void Add(S3Run run)
    {
        _runs.Add(run);
        progress.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"round {run.Round}, {run.MedianMs} ms, {run.Case}, {run.Who}: {run.PerSecond:F1}/s, " +
            $"{run.MebibytesPerSecond:F1} MiB/s, p50 {run.Latency.P50Micros / 1e3:F1} ms, " +
            $"{run.Use.Total} S3 requests"));
    }

    private async Task TryAsync(At at, string name, Func<Task> measure)
    {
        try
        {
            await measure();
        }
        catch (Exception exception) when (
            exception is NbdException or SocketException or IOException or ObjectStoreException or FormatException)
        {
            var failure = string.Create(
                CultureInfo.InvariantCulture, $"round {at.Round}, {at.MedianMs} ms, {name}: {exception.Message}");
            _failures.Add(failure);
            await progress.WriteLineAsync(failure);
        }
    }

    private PeerProcess Start(Peer peer, string url) => PeerProcess.Start(peer, new PeerContext
    {
        Directory = Path.Combine(_work, string.Create(CultureInfo.InvariantCulture, $"{peer.Name}-{++_starts}")),
        ExportBytes = plan.RegionBytes,
        ZeroFlowPath = plan.ZeroFlowPath,
        StoreUrl = url,
    });

    private string Own(At at) => plan.Place.Url($"{_prefix}-{Guid.NewGuid():N}", at.Proxy.Port);

    private LoadOptions OptionsOf(PeerProcess process, string load) => new()
    {
        Uri = process.Command.Uri,
        Case = WorkloadCase.Parse(load),
        Duration = plan.Duration,
        RegionBytes = plan.RegionBytes,

        // Plain requests have nothing to compress: bytes are to mean the same everywhere.
        CompressRatio = 1,

        // A cold read has no warm-up: what it would bring into the caches is what is measured.
        Warmup = load.Contains("read", StringComparison.Ordinal) ? TimeSpan.Zero : TimeSpan.FromSeconds(0.5),
        ServerPid = process.Pid,
    };

    private sealed record At(int Round, double MedianMs, DelayProxy Proxy);
}
