using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Workloads;

/// <summary>What one connection's loop has measured. Written by the loop; read when the loop has ended.</summary>
internal sealed class LoopRecord
{
    private long _completed;

    public LatencyHistogram[] Latencies { get; } =
        [.. Enum.GetValues<OperationKind>().Select(_ => new LatencyHistogram())];

    /// <summary>Reads, writes and FLUSHes that began in the window.</summary>
    public long Requests { get; private set; }

    public long Bytes { get; private set; }

    public long LastCompletion { get; private set; }

    /// <summary>Open loop only: arrivals that were due and could not be sent before the run was given up.</summary>
    public long Unsent { get; set; }

    /// <summary>All requests completed so far, warm-up included. Safe to read while the loop runs.</summary>
    public long Completed => Volatile.Read(ref _completed);

    /// <summary>The latencies of one kind over several loops.</summary>
    public static LatencyHistogram Merge(IEnumerable<LoopRecord> records, OperationKind kind)
    {
        var merged = new LatencyHistogram();
        foreach (var record in records) merged.Add(record.Latencies[(int)kind]);
        return merged;
    }

    public void CountCompletion() => Volatile.Write(ref _completed, _completed + 1);

    public void RecordRequest(OperationKind kind, int length, long started, long now)
    {
        Requests++;
        Bytes += length;
        LastCompletion = now;
        Latencies[(int)kind].Record(now - started);
    }

    public void RecordCommit(long started, long now) => Latencies[(int)OperationKind.Commit].Record(now - started);
}
