using System.Diagnostics;
using ZeroFlow.Perf.Traces;

namespace ZeroFlow.Perf.Recording;

/// <summary>
/// Brings what all connections do into one trace, with its times. Thread-safe; the sink stays the caller's.
/// </summary>
internal sealed class TraceRecorder(ITraceSink sink)
{
    private readonly Lock _lock = new();
    private readonly long _begun = Stopwatch.GetTimestamp();

    public long Requests { get; private set; }

    public int Connections { get; private set; }

    /// <summary>A watcher for the next connection.</summary>
    public NbdWatcher Watch()
    {
        lock (_lock)
        {
            var number = Connections++;
            return new NbdWatcher(number, Connect, (command, flags, offset, length) =>
                Add(new TraceRecord(0, command, offset, length, flags, number)));
        }
    }

    private void Connect(TraceConnection connection)
    {
        lock (_lock) sink.Connect(connection);
    }

    private void Add(in TraceRecord record)
    {
        // The clock is read inside the lock: what is written is in the order of its times.
        lock (_lock)
        {
            Requests++;
            sink.Add(record with { Micros = (long)Stopwatch.GetElapsedTime(_begun).TotalMicroseconds });
        }
    }
}
