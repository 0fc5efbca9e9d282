using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Workloads;

/// <summary>Connects, drives each connection from its own thread, and gathers what they measured.</summary>
internal sealed class LoadRunner : IDisposable
{
    private readonly LoadOptions _options;
    private readonly PayloadPool _payloads;
    private readonly NbdSession[] _sessions;
    private RequestLoop[] _loops = [];
    private LoadWindow? _window;

    /// <exception cref="NbdException">The export cannot do what the workload needs.</exception>
    public LoadRunner(LoadOptions options)
    {
        _options = options;
        _payloads = new PayloadPool(options.CompressRatio, options.Seed);
        _sessions = [.. Enumerable.Range(0, options.Case.Connections).Select(_ => NbdSession.Connect(options.Uri))];
        RegionBytes = Math.Min(options.RegionBytes, _sessions[0].SizeBytes);
        Check();
    }

    public long RegionBytes { get; }

    /// <summary>Requests completed so far; may be read from another thread.</summary>
    public long Completed => _loops.Sum(loop => loop.Record.Completed);

    /// <summary>Writes the region once and flushes, so that reads meet data and writes meet allocated space.</summary>
    public static void FillRegion(LoadOptions options)
    {
        using var fill = new LoadRunner(options with
        {
            Case = new WorkloadCase(Workload.Fill, 8, 1),
            Duration = TimeSpan.FromHours(1),
            Warmup = TimeSpan.Zero,
            RatePerSecond = null,
        });
        fill.Run();
        Flush(options);
    }

    /// <summary>Flushes once, so that the next run does not pay for what the last one left.</summary>
    public static void Flush(LoadOptions options)
    {
        using var session = NbdSession.Connect(options.Uri);
        if (!session.Flags.HasFlag(NbdExportFlags.SendFlush)) return;

        using var payloads = new PayloadPool(1, 1);
        var now = new LoadWindow(LoadWindow.Now(), default, default);
        using var loop = new RequestLoop(session, [new OneFlushProgram()], payloads, now, null, null, 0);
        loop.Run();
    }

    /// <exception cref="NbdException">A connection failed; the others were stopped.</exception>
    public LoadResult Run()
    {
        _window = new LoadWindow(LoadWindow.Now(), _options.Warmup, _options.Duration);
        _loops = [.. _sessions.Select((session, index) => CreateLoop(session, index, _window))];
        var threads = LoopThreads.Start(_loops, _window);
        Thread.Sleep(_options.Warmup);
        var meter = CpuMeter.Start(_options.ServerPid);
        threads.Join();
        return LoadResult.Of(
            _options.Case.Name, [.. _loops.Select(loop => loop.Record)], _window.MeasureFrom, meter.Stop());
    }

    /// <summary>Ends a run early.</summary>
    public void Stop() => _window?.Stop();

    public void Dispose()
    {
        foreach (var loop in _loops) loop.Dispose();
        foreach (var session in _sessions) session.Dispose();
        _payloads.Dispose();
    }

    private void Check()
    {
        var (workload, flags) = (_options.Case.Workload, _sessions[0].Flags);
        if (workload.NeedsFlush && !flags.HasFlag(NbdExportFlags.SendFlush))
            throw new NbdException($"Workload {workload.Name} needs FLUSH, which the export does not offer.");
        if (workload.Writes && flags.HasFlag(NbdExportFlags.ReadOnly))
            throw new NbdException($"Workload {workload.Name} writes, and the export is read-only.");
        if (_sessions.Length > 1 && !flags.HasFlag(NbdExportFlags.CanMultiConn))
            throw new NbdException("Several connections need CAN_MULTI_CONN, which the export does not offer.");
        if (RegionBytes < workload.BlockBytes)
            throw new NbdException($"The export holds {RegionBytes} bytes, less than one block of {workload.Name}.");
    }

    private RequestLoop CreateLoop(NbdSession session, int index, LoadWindow window)
    {
        var (workload, depth, connections) = _options.Case;
        var arrivals = _options.RatePerSecond is { } rate ? new ArrivalClock(rate / connections, window) : null;
        return new RequestLoop(
            session,
            workload.CreatePrograms(depth, RegionBytes, index, connections, _options.Seed),
            _payloads,
            window,
            arrivals,
            _options.Verify ? new OffsetGuard(workload.BlockBytes) : null,
            firstPayload: index * 7919);
    }

    private sealed class OneFlushProgram : LaneProgram
    {
        private bool _sent;

        public override bool TryNext(out BlockRequest request)
        {
            request = new BlockRequest(NbdCommand.Flush, 0, 0);
            var first = !_sent;
            _sent = true;
            return first;
        }
    }
}
