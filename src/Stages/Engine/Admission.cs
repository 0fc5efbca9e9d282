using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (1) admit, the store's side: lets writes in while the WAL has room, and slows them smoothly towards the rate at which
/// the bucket drains it, so that they do not run into a wall. Reads and FLUSHes never pass here. Thread-safe.
/// </summary>
internal sealed class Admission
{
    // Below this share of the WAL nothing is slowed; from here to full the allowed rate falls to the drain rate.
    private const double SlowFrom = 0.7;
    private const double RateAtSlowFrom = 5;
    private static readonly TimeSpan RateWindow = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan DelayMax = TimeSpan.FromMilliseconds(250);

    private readonly ByteBudget _dirty;
    private readonly AdmissionStall _stall;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private long _windowStart;
    private long _windowBytes;
    private double _drainBytesPerSecond;
    private long _nextAllowed;
    private long _waitTicks;

    public Admission(long walBytes, TimeProvider time, ILogger log)
    {
        _stall = new AdmissionStall(time, log);
        _dirty = new ByteBudget(walBytes);
        _time = time;
        _windowStart = time.GetTimestamp();
    }

    /// <summary>Bytes of WAL records that no committed table covers yet.</summary>
    public long DirtyBytes => _dirty.UsedBytes;

    public long LimitBytes => _dirty.LimitBytes;

    /// <summary>Time that writes spent waiting here.</summary>
    public TimeSpan Waited => TimeSpan.FromTicks(Volatile.Read(ref _waitTicks));

    /// <summary>Takes room for <paramref name="bytes"/> of WAL records; at once in the common case.</summary>
    public ValueTask EnterAsync(long bytes, CancellationToken cancellation)
    {
        if (_dirty.UsedBytes < _dirty.LimitBytes * SlowFrom && _dirty.TryTake(bytes)) return ValueTask.CompletedTask;
        return EnterSlowlyAsync(bytes, cancellation);
    }

    /// <summary>Counts records that recovery found in the WAL.</summary>
    public void EnterRecovered(long bytes) => _dirty.TakeUnconditionally(bytes);

    /// <summary>Gives back the room of a write that did not reach the WAL.</summary>
    public void Abandon(long bytes) => _dirty.Return(bytes);

    /// <summary>A committed table covers <paramref name="bytes"/> of records.</summary>
    public void Drained(long bytes)
    {
        lock (_lock)
        {
            _windowBytes += bytes;
            TimeSpan elapsed = _time.GetElapsedTime(_windowStart);
            if (elapsed > TimeSpan.FromMilliseconds(200))
            {
                double rate = _windowBytes / elapsed.TotalSeconds;
                double weight = Math.Min(1, elapsed / RateWindow * 2);
                _drainBytesPerSecond += (rate - _drainBytesPerSecond) * weight;
                _windowBytes = 0;
                _windowStart = _time.GetTimestamp();
            }
        }

        _dirty.Return(bytes);
    }

    public void Fault(Exception fault) => _dirty.Fault(fault);

    private async ValueTask EnterSlowlyAsync(long bytes, CancellationToken cancellation)
    {
        long started = _time.GetTimestamp();
        TimeSpan delay = DelayFor(bytes);
        if (delay > TimeSpan.FromMilliseconds(1)) await Task.Delay(delay, _time, cancellation);
        ValueTask room = _dirty.TakeAsync(bytes, cancellation);
        if (room.IsCompleted) await room;
        else await _stall.WatchAsync(room, _dirty.LimitBytes);
        Interlocked.Add(ref _waitTicks, _time.GetElapsedTime(started).Ticks);
    }

    private TimeSpan DelayFor(long bytes)
    {
        lock (_lock)
        {
            // Nothing drained lately: the bucket is away. Then the room that is left is used at full speed.
            if (_drainBytesPerSecond < 1 || _time.GetElapsedTime(_windowStart) > RateWindow) return TimeSpan.Zero;
            double fill = Math.Clamp((double)_dirty.UsedBytes / _dirty.LimitBytes, SlowFrom, 1);
            double factor = 1 + ((1 - fill) / (1 - SlowFrom) * (RateAtSlowFrom - 1));
            double seconds = bytes / (_drainBytesPerSecond * factor);
            long now = _time.GetTimestamp();
            long step = (long)(seconds * _time.TimestampFrequency);
            _nextAllowed = Math.Max(_nextAllowed, now) + step;
            TimeSpan delay = _time.GetElapsedTime(now, _nextAllowed);
            return delay < DelayMax ? delay : DelayMax;
        }
    }
}
