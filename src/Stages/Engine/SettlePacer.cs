namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Keeps writers from outrunning the settler for good: while the store is far below its target share, no more bytes are
/// cut between two settled batches than a batch gives back. What waits for its cut waits in the WAL, whose budget slows
/// admission down smoothly. Thread-safe.
/// </summary>
/// <remarks>
/// From <see cref="Onset"/> of the target share down, the allowance shrinks, from eight times what a batch gives back to
/// once at <see cref="Floor"/>: there the garbage grows no more. A cut that has waited for <see cref="Patience"/> goes
/// anyway: a settler that is stuck must cost space, not stop the writes.
/// </remarks>
internal sealed class SettlePacer
{
    /// <summary>Part of the target share below which cuts are counted.</summary>
    public const double Onset = 0.75;

    /// <summary>Part of the target share at which writers get no more than the settler gives back.</summary>
    public const double Floor = 0.5;

    private const double FactorAtOnset = 8;

    /// <summary>How long a cut waits for the settler at most.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private long _allowedBytes = long.MaxValue;
    private long? _waitingSince;

    public SettlePacer(TimeProvider time) => _time = time;

    /// <summary>True while cuts are counted: the settler works without pausing.</summary>
    public bool IsBehind
    {
        get
        {
            lock (_lock) return _allowedBytes != long.MaxValue;
        }
    }

    /// <summary>A batch begins: what it gives back may be written meanwhile.</summary>
    /// <param name="share">Live bytes of the whole store in what its tables hold.</param>
    /// <param name="target">The share that it ought to have.</param>
    /// <param name="givesBack">Dead bytes of the tables that the batch empties.</param>
    public void BatchBegins(double share, double target, long givesBack)
    {
        double depth = Math.Clamp((Onset - (share / target)) / (Onset - Floor), 0, 1);
        lock (_lock)
        {
            _allowedBytes = depth == 0 ? long.MaxValue : (long)(givesBack * (FactorAtOnset + (depth * (1 - FactorAtOnset))));
        }
    }

    /// <summary>There is nothing to settle, or it cannot be done now.</summary>
    public void Rests()
    {
        lock (_lock) _allowedBytes = long.MaxValue;
    }

    /// <summary>
    /// Takes a cut's bytes off the allowance. False when it has to wait, which it need not if it is urgent.
    /// </summary>
    public bool TryCut(long bytes, bool isUrgent)
    {
        lock (_lock)
        {
            if (_allowedBytes == long.MaxValue) return true;
            bool mayGo = isUrgent || _allowedBytes > 0 ||
                         (_waitingSince is { } since && _time.GetElapsedTime(since) >= Patience);
            if (!mayGo)
            {
                _waitingSince ??= _time.GetTimestamp();
                return false;
            }

            _allowedBytes = Math.Max(0, _allowedBytes - bytes);
            _waitingSince = null;
            return true;
        }
    }
}
