using ZeroFlow.Perf.Traces;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Replay;

/// <summary>Requests are due when the trace has them, at a multiple of its speed.</summary>
internal sealed class TraceSchedule(IReadOnlyList<TraceRecord> records, double speed, LoadWindow window)
    : ArrivalSchedule
{
    private int _next;

    public override long NextDue => window.StartAt + (long)(records[_next].Micros * 1000 / speed);

    public override bool Exhausted => _next == records.Count;

    public override bool TryTake(long now, out long due)
    {
        due = 0;
        if (Exhausted || NextDue > now) return false;

        due = NextDue;
        _next++;
        return true;
    }

    public override long GiveUp()
    {
        var owed = records.Count - _next;
        _next = records.Count;
        return owed;
    }
}

/// <summary>The requests of one connection in the order of the trace, shared by its lanes.</summary>
internal sealed class TraceProgram(IReadOnlyList<TraceRecord> records) : LaneProgram
{
    private int _next;

    public override bool TryNext(out BlockRequest request)
    {
        request = default;
        if (_next == records.Count) return false;

        var record = records[_next++];
        request = new BlockRequest(record.Command, record.Offset, (int)record.Length, Flags: record.Flags);
        return true;
    }
}
