using System.Diagnostics.Metrics;

namespace ZeroFlow.Pipeline.Telemetry;

/// <summary>What one stage counts. Thread-safe; allocates nothing.</summary>
public sealed class StageMeter
{
    private readonly Func<int> _queueDepth;
    private readonly Histogram<double> _seconds;
    private long _messagesIn;
    private long _messagesOut;
    private long _bytesIn;
    private long _bytesOut;
    private long _busyTicks;
    private long _spaceWaitTicks;
    private int _active;

    internal StageMeter(string name, int queueBound, Func<int> queueDepth, Histogram<double> seconds)
    {
        Name = name;
        QueueBound = queueBound;
        _queueDepth = queueDepth;
        _seconds = seconds;
        Tag = new KeyValuePair<string, object?>("stage", name);
    }

    /// <summary>The stage's name in the design.</summary>
    public string Name { get; }

    /// <summary>Most messages that may wait in front of the stage.</summary>
    public int QueueBound { get; }

    /// <summary>Messages that wait in front of the stage now.</summary>
    public int QueueDepth => _queueDepth();

    /// <summary>Messages being worked on now.</summary>
    public int Active => Volatile.Read(ref _active);

    /// <summary>Messages that entered.</summary>
    public long MessagesIn => Volatile.Read(ref _messagesIn);

    /// <summary>Messages that left.</summary>
    public long MessagesOut => Volatile.Read(ref _messagesOut);

    /// <summary>Payload bytes that entered.</summary>
    public long BytesIn => Volatile.Read(ref _bytesIn);

    /// <summary>Payload bytes that left.</summary>
    public long BytesOut => Volatile.Read(ref _bytesOut);

    /// <summary>Seconds spent working, summed over parallel workers.</summary>
    public double BusySeconds => TimeSpan.FromTicks(Volatile.Read(ref _busyTicks)).TotalSeconds;

    /// <summary>Seconds that senders waited for room.</summary>
    public double SpaceWaitSeconds => TimeSpan.FromTicks(Volatile.Read(ref _spaceWaitTicks)).TotalSeconds;

    internal KeyValuePair<string, object?> Tag { get; }

    /// <summary>Work on <paramref name="messages"/> of <paramref name="bytes"/> in all begins.</summary>
    public void Begin(long bytes, int messages = 1)
    {
        Interlocked.Add(ref _active, messages);
        Interlocked.Add(ref _messagesIn, messages);
        Interlocked.Add(ref _bytesIn, bytes);
    }

    /// <summary>That work ends after <paramref name="busy"/> with <paramref name="bytes"/> of output.</summary>
    public void End(long bytes, TimeSpan busy, int messages = 1)
    {
        Interlocked.Add(ref _active, -messages);
        Interlocked.Add(ref _messagesOut, messages);
        Interlocked.Add(ref _bytesOut, bytes);
        Interlocked.Add(ref _busyTicks, busy.Ticks);
        _seconds.Record(busy.TotalSeconds, Tag);
    }

    /// <summary>A sender waited <paramref name="wait"/> for room in front of the stage.</summary>
    public void WaitedForSpace(TimeSpan wait) => Interlocked.Add(ref _spaceWaitTicks, wait.Ticks);
}
