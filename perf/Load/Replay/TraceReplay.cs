using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Traces;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>
/// Sends the requests of a trace to an export: when they are due (open loop, latency counted from there) or as fast as
/// they are answered (closed loop).
/// </summary>
internal sealed class TraceReplay : IDisposable
{
    // An open loop sends whatever is due. What has to wait for a free lane still counts from when it was due.
    private const int OpenLanes = 1024;
    private const int ConnectionsMax = 64;
    private static readonly TimeSpan Lead = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan NoEnd = TimeSpan.FromDays(30);

    private readonly Trace _trace;
    private readonly ReplayOptions _options;
    private readonly FittedTrace _fitted;
    private readonly PayloadPool _payloads;
    private readonly List<NbdSession> _sessions = [];
    private readonly List<SectorGuard> _guards = [];
    private readonly SectorModel _model = new();
    private RequestLoop[] _loops = [];

    /// <exception cref="NbdException">The export cannot take the trace.</exception>
    public TraceReplay(Trace trace, ReplayOptions options)
    {
        _trace = trace;
        _options = options;
        _payloads = new PayloadPool(options.CompressRatio, options.Seed);
        try
        {
            var count = Math.Clamp(options.Connections ?? trace.Connections, 1, ConnectionsMax);
            for (var number = 0; number < count; number++) _sessions.Add(NbdSession.Connect(options.Uri));
            _fitted = new TraceFit(_sessions[0].SizeBytes, _sessions[0].Flags, options.Beyond).Apply(trace);
            Check(count);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <exception cref="NbdException">A connection failed, or wrong data was read; the others were stopped.</exception>
    public ReplayResult Run()
    {
        if (_options.WarmupReads > 0) WarmUp();
        var window = new LoadWindow(LoadWindow.Now() + (long)Lead.TotalNanoseconds, TimeSpan.Zero, NoEnd);
        var stamp = new SectorStamp((ulong)Random.Shared.NextInt64(), _options.CompressRatio);
        var parts = Spread();
        _loops = [.. _sessions.Select((session, at) => CreateLoop(session, parts[at], window, stamp, at))];
        var meter = CpuMeter.Start(_options.ServerPid);
        Thread.Sleep(Lead);
        LoopThreads.Start(_loops, window).Join();
        var records = _loops.Select(loop => loop.Record).ToArray();
        return new ReplayResult(
            _trace.Name, _options.Loop, _sessions.Count, _fitted.LeftOut, _fitted.Wrapped,
            _guards.Sum(guard => guard.Verified),
            _fitted.Records.Where(record => record.Command == NbdCommand.Write).Sum(record => record.Length),
            LoadResult.Of($"{_trace.Name} ({_options.Loop})", records, window.StartAt, meter.Stop()));
    }

    /// <summary>All latencies of one kind, once the replay has ended.</summary>
    public LatencyHistogram HistogramOf(OperationKind kind) =>
        LoopRecord.Merge(_loops.Select(loop => loop.Record), kind);

    public void Dispose()
    {
        foreach (var loop in _loops) loop.Dispose();
        foreach (var session in _sessions) session.Dispose();
        _payloads.Dispose();
    }

    private void Check(int connections)
    {
        if (connections > 1 && !_sessions[0].Flags.HasFlag(NbdExportFlags.CanMultiConn))
            throw new NbdException("Several connections need CAN_MULTI_CONN, which the export does not offer.");
        const int SectorBytes = SectorStamp.SectorBytes;
        if (_options.Verify && _fitted.Records.Any(record => (record.Offset | record.Length) % SectorBytes != 0))
            throw new NbdException($"{_trace.Name} has requests that are not of whole sectors: it cannot be verified.");
    }

    // Both kinds of loop, so that neither is compiled while it is measured.
    private void WarmUp()
    {
        const int Bytes = 4096;
        var reads = Enumerable.Range(0, _options.WarmupReads).Select(at =>
            new TraceRecord(at * 100, NbdCommand.Read, 0, Bytes)).ToArray();
        foreach (var session in _sessions.Where(session => session.SizeBytes >= Bytes))
        {
            var window = new LoadWindow(LoadWindow.Now(), TimeSpan.Zero, NoEnd);
            var program = new TraceProgram(reads[..(reads.Length / 2)]);
            using (var closed = new RequestLoop(session, [program, program], _payloads, window, null, null, 0))
                closed.Run();

            program = new TraceProgram(reads);
            using var open = new RequestLoop(
                session, [program, program], _payloads, window, new TraceSchedule(reads, 1, window), null, 0);
            open.Run();
        }
    }

    /// <summary>
    /// The requests of each connection: those of the trace's own connections stay together; one connection's are dealt
    /// out.
    /// </summary>
    private List<TraceRecord>[] Spread()
    {
        var several = _fitted.Records.Select(record => record.Connection).Distinct().Skip(1).Any();
        var parts = _sessions.Select(_ => new List<TraceRecord>()).ToArray();
        foreach (var (at, record) in _fitted.Records.Index())
            parts[(several ? record.Connection : at) % parts.Length].Add(record);
        return parts;
    }

    private RequestLoop CreateLoop(
        NbdSession session, List<TraceRecord> records, LoadWindow window, SectorStamp stamp, int index)
    {
        var lanes = _options.Depth ?? OpenLanes;
        var program = new TraceProgram(records);
        var arrivals = _options.Depth is null ? new TraceSchedule(records, _options.Speed, window) : null;
        if (_options.Verify)
        {
            var lengthMax = records.Where(record => record.IsTransfer).Select(record => record.Length)
                .DefaultIfEmpty(SectorStamp.SectorBytes).Max();
            _guards.Add(new SectorGuard(_model, stamp, lanes, (int)lengthMax));
        }

        return new RequestLoop(
            session, [.. Enumerable.Repeat(program, lanes)], _payloads, window, arrivals,
            _options.Verify ? _guards[^1] : null, firstPayload: index * 7919);
    }
}
