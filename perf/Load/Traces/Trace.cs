using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>A whole trace in memory: its requests in the order of time, the first of them at 0.</summary>
internal sealed class Trace
{
    /// <summary>Sorts <paramref name="records"/> by time, keeping the order of those of one moment.</summary>
    public Trace(string name, IEnumerable<TraceRecord> records)
    {
        Name = name;
        var sorted = records.OrderBy(record => record.Micros).ToArray();
        var begin = sorted.Length == 0 ? 0 : sorted[0].Micros;
        Records = [.. sorted.Select(record => record with { Micros = record.Micros - begin })];
    }

    public string Name { get; }

    public IReadOnlyList<TraceRecord> Records { get; }

    public TimeSpan Duration => Records.Count == 0 ? TimeSpan.Zero : TimeSpan.FromMicroseconds(Records[^1].Micros);

    /// <summary>One behind the last byte that is named: what a device must hold to take the trace as it is.</summary>
    public long SpanBytes => Records.Where(record => record.HasRange).Select(record => record.Offset + record.Length)
        .DefaultIfEmpty(0).Max();

    public int Connections => Records.Select(record => record.Connection).Distinct().Count();

    public long Count(NbdCommand command) => Records.Count(record => record.Command == command);

    public long BytesOf(NbdCommand command) =>
        Records.Where(record => record.Command == command).Sum(record => record.Length);

    /// <summary>The trace's first part: as many requests, and as much of its time, as are given.</summary>
    public Trace Head(int requestsMax, TimeSpan durationMax) => new(
        Name, Records.Take(requestsMax).TakeWhile(record => record.Micros <= durationMax.TotalMicroseconds));
}
