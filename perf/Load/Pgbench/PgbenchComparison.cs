using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Pgbench;

/// <summary>
/// PostgreSQL on OpenZFS in a guest, whose disk each backend serves in turn, the one that begins changing by round. The disk is
/// made once for each scale, with the database on it, and copied to each backend, so that all of them begin with the same bytes.
/// </summary>
internal sealed class PgbenchComparison(PgbenchPlan plan, TextWriter progress)
{
    /// <summary>What the guest measures, in its order.</summary>
    public static readonly string[] Modes = ["tpcb-commit", "tpcb-async", "select"];

    private readonly List<PgbenchRun> _runs = [];
    private readonly List<string> _failures = [];
    private readonly string _prefix = $"pgbench-{Guid.NewGuid():N}";
    private readonly long _begun = Stopwatch.GetTimestamp();
    private string _work = "";
    private int _starts;

    public async Task<PgbenchReport> RunAsync(CancellationToken stop)
    {
        ThreadPool.SetMinThreads(16, 16);
        _work = Path.Combine(plan.Directory, $"zeroflow-pgbench-{Environment.ProcessId}");
        Directory.CreateDirectory(_work);
        try
        {
            Peer[] peers = [.. plan.Backends.Select(backend => backend.Peer).Distinct()];
            var conditions = Conditions.Capture(_work, peers);
            foreach (var scale in plan.Scales.TakeWhile(_ => !stop.IsCancellationRequested)) Prepare(scale);
            for (var round = 1; round <= plan.Rounds; round++)
            {
                foreach (var scale in plan.Scales) await RunRoundAsync(round, scale, stop);
            }

            return new PgbenchReport
            {
                Conditions = conditions with { LoadAverageAfter = Conditions.LoadAverage() },
                Settings = new PgbenchSettings(
                    plan.Scales, plan.Rounds, plan.Seconds, plan.Clients, plan.Sigma, plan.DeviceBytes >> 20, plan.Note,
                    peers.ToDictionary(peer => peer.Name, peer => peer.Promise)),
                Runs = _runs,
                Lines = PgbenchReport.LinesOf(_runs),
                Failures = _failures,
            };
        }
        finally
        {
            Directory.Delete(_work, recursive: true);
        }
    }

    private string ImageOf(int scale) => Path.Combine(_work, string.Create(CultureInfo.InvariantCulture, $"scale-{scale}.img"));

    private void Prepare(int scale)
    {
        var image = ImageOf(scale);
        using (var file = File.Create(image)) file.SetLength(plan.DeviceBytes);
        using var process = PeerProcess.Start(Peer.ServingFile(image), ContextOf(medianMs: null, url: null));
        using var guest = new GuestRun(plan.Root, JobOf("prepare", process, scale));
        guest.WaitFor("GUEST END 0", plan.Patience);
        progress.WriteLine($"made a database of scale {scale}");
    }

    private async Task RunRoundAsync(int round, int scale, CancellationToken stop)
    {
        for (var turn = 0; turn < plan.Backends.Count && !stop.IsCancellationRequested; turn++)
        {
            var backend = plan.Backends[(round - 1 + turn) % plan.Backends.Count];
            try
            {
                if (Stopwatch.GetElapsedTime(_begun) > plan.TimeMax) throw new NbdException("not begun, the time was up");
                await RunBackendAsync(backend, round, scale, stop);
            }
            catch (Exception exception) when (exception is NbdException or SocketException or IOException)
            {
                var failure = string.Create(
                    CultureInfo.InvariantCulture,
                    $"round {round}, scale {scale}, {backend.Peer.Name} at {backend.MedianMs ?? 0} ms: {exception.Message}");
                _failures.Add(failure);
                await progress.WriteLineAsync(failure);
            }
        }
    }

    private async Task RunBackendAsync(PgbenchBackend backend, int round, int scale, CancellationToken stop)
    {
        var law = new LatencyLaw(TimeSpan.FromMilliseconds(backend.MedianMs ?? 0), plan.Sigma, round);
        using var proxy = new DelayProxy(0, plan.Place.Server, law);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var running = proxy.RunAsync(ending.Token);
        try
        {
            var url = backend.Peer.IsOverStore ? plan.Place.Url($"{_prefix}-{++_starts}", proxy.Port) : null;
            await Task.Run(() => Measure(backend, round, scale, proxy.Counts, url), CancellationToken.None);
        }
        finally
        {
            await ending.CancelAsync();
            await running;
        }
    }

    private void Measure(PgbenchBackend backend, int round, int scale, ProxyCounts counts, string? url)
    {
        using var process = PeerProcess.Start(backend.Peer, ContextOf(backend.MedianMs, url));
        Copy(ImageOf(scale), process.Command.Uri);
        using var meter = process.Command.MetricsUri is { } page ? new StoreMeter(page) : null;
        using var guest = new GuestRun(plan.Root, JobOf("measure", process, scale));
        foreach (var mode in Modes)
        {
            guest.WaitFor($"BENCH READY {mode}", plan.Patience);
            Drain(meter);
            var load = Conditions.LoadAverage();
            var before = counts.Read();
            var lag = meter is null ? null : new LagSampler(meter);
            File.WriteAllText(GoFile(process, mode), "");
            string[] said;
            double? largestLag;
            try
            {
                said = guest.WaitFor($"BENCH {mode} ", plan.Patience).Split(' ');
            }
            finally
            {
                largestLag = lag?.Stop();
                File.Delete(GoFile(process, mode));
            }

            guest.WaitFor($"BENCH SYNCED {mode}", plan.Patience);
            var synced = Stopwatch.GetTimestamp();
            Drain(meter);
            var use = url is null
                ? null
                : new PgbenchStoreUse(counts.Read().Since(before), largestLag, Stopwatch.GetElapsedTime(synced).TotalSeconds);
            Add(new PgbenchRun(
                backend.Peer.Name, backend.MedianMs, round, scale, mode, load, Figure(said[2]), Figure(said[3]), Figure(said[4]),
                (long)Figure(said[5]), use));
        }

        guest.WaitFor("GUEST END 0", plan.Patience);
    }

    private void Add(PgbenchRun run)
    {
        _runs.Add(run);
        progress.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"round {run.Round}, scale {run.Scale}, {run.Peer} at {run.MedianMs ?? 0} ms, {run.Mode}: {run.Tps:F1} TPS, " +
            $"p99 {run.P99Micros / 1e3:F1} ms, {run.Store?.Use.Total ?? 0} S3 requests, lag {run.Store?.LagSeconds ?? 0:F1} s"));
    }

    private void Copy(string image, NbdUri uri)
    {
        string[] arguments =
        [
            "--destination-is-zero", "--flush", image,
            string.Create(CultureInfo.InvariantCulture, $"nbd://127.0.0.1:{uri.Port}/{uri.Export}"),
        ];
        using var copy = Process.Start(new ProcessStartInfo("nbdcopy", arguments) { RedirectStandardError = true })
            ?? throw new NbdException("nbdcopy did not start.");
        if (!copy.WaitForExit(plan.Patience))
        {
            copy.Kill();
            throw new NbdException("The disk was not copied in time.");
        }

        if (copy.ExitCode != 0) throw new NbdException($"nbdcopy failed: {copy.StandardError.ReadToEnd()}");
    }

    private void Drain(StoreMeter? meter)
    {
        if (meter?.WaitUntilDrained(plan.Patience) == false)
            throw new NbdException("The object store did not get everything in time.");
    }

    private PeerContext ContextOf(double? medianMs, string? url) => new()
    {
        Directory = Path.Combine(_work, string.Create(CultureInfo.InvariantCulture, $"server-{++_starts}")),
        ExportBytes = plan.DeviceBytes,
        ZeroFlowPath = plan.ZeroFlowPath,
        StoreUrl = url,
        StoreLatency = TimeSpan.FromMilliseconds(medianMs ?? 0),
    };

    private string JobOf(string task, PeerProcess process, int scale)
    {
        var uri = process.Command.Uri;
        var settings = string.Create(
            CultureInfo.InvariantCulture,
            $"task={task} address=10.0.2.2:{uri.Port}/{uri.Export} scale={scale} seconds={plan.Seconds} clients={plan.Clients} " +
            $"go={GoName(process)}\n");
        return settings + File.ReadAllText(Path.Combine(plan.Root, "perf/pgbench-guest.sh"));
    }

    private static string GoName(PeerProcess process) => string.Create(CultureInfo.InvariantCulture, $"go-{process.Pid}");

    private static string GoFile(PeerProcess process, string mode) => Path.Combine(GuestRun.Jobs, $"{GoName(process)}-{mode}");

    private static double Figure(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
