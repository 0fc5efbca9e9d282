using System.Numerics;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// Plain frames in memory, within a bound in bytes. Frames are immutable, so nothing here is ever stale. Thread-safe;
/// a hit allocates nothing and holds one of several locks for a few dozen nanoseconds.
/// </summary>
/// <remarks>
/// Each shard keeps two queues (2Q, Johnson and Shasha 1994): what is new goes through a short first-in first-out
/// queue, and only what is asked for again after a while joins the long least-recently-used one. So a scan,
/// which reads each frame several times in quick succession and never again, passes through without evicting
/// the hot set. Names of frames that left the short queue are remembered for the same purpose.
/// </remarks>
internal sealed class FrameMemoryCache
{
    /// <summary>
    /// What an entry costs besides its buffer: dictionary entry at its usual load (48), list node (48), lease object
    /// and array header (64), and its share of remembered names (32).
    /// </summary>
    public const int EntryOverheadBytes = 192;

    private const int ShardsMax = 16;

    // A shard smaller than this holds too few of the largest frames (1 MiB) for its two queues to mean anything.
    private const long ShardBytesMin = 8L * 1024 * 1024;

    private readonly FrameMemoryShard[] _shards;
    private readonly int _shift;

    /// <summary>Makes a cache that holds at most <paramref name="budgetBytes"/>.</summary>
    public FrameMemoryCache(long budgetBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(budgetBytes);
        BudgetBytes = budgetBytes;
        ulong wanted = (ulong)Math.Clamp(budgetBytes / ShardBytesMin, 1, ShardsMax);
        int shardBits = BitOperations.Log2(wanted);
        _shift = 32 - shardBits;
        _shards = new FrameMemoryShard[1 << shardBits];
        for (int i = 0; i < _shards.Length; i++) _shards[i] = new FrameMemoryShard(budgetBytes >> shardBits);
    }

    /// <summary>The bound: buffers by their capacity, plus <see cref="EntryOverheadBytes"/> for each.</summary>
    public long BudgetBytes { get; }

    /// <summary>Bytes held now, counted like <see cref="BudgetBytes"/>.</summary>
    public long Bytes => Sum(static shard => shard.Bytes);

    /// <summary>Frames held now.</summary>
    public long Count => Sum(static shard => shard.Count);

    /// <summary>Lookups that found their frame.</summary>
    public long Hits => Sum(static shard => shard.Hits);

    /// <summary>Lookups that did not.</summary>
    public long Misses => Sum(static shard => shard.Misses);

    /// <summary>Frames that had to go to make room.</summary>
    public long Evictions => Sum(static shard => shard.Evictions);

    /// <summary>Looks a frame up. On success the caller owns one reference to <paramref name="lease"/>.</summary>
    public bool TryGet(FrameKey key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BufferLease? lease) =>
        ShardOf(key).TryGet(key, count: true, out lease);

    /// <summary>Like <see cref="TryGet"/>, for a second look within one request, which is not counted.</summary>
    public bool TryGetAgain(FrameKey key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BufferLease? lease) =>
        ShardOf(key).TryGet(key, count: false, out lease);

    /// <summary>Whether the frame is here; changes neither its standing nor the counters.</summary>
    public bool Contains(FrameKey key) => ShardOf(key).Contains(key);

    /// <summary>
    /// Puts a frame in, taking a reference of its own. A frame that is already here stays; one that is larger than a
    /// shard is not kept.
    /// </summary>
    public void Add(FrameKey key, BufferLease lease) => ShardOf(key).Add(key, lease);

    /// <summary>Takes a frame out, if it is here.</summary>
    public void Remove(FrameKey key) => ShardOf(key).Remove(key);

    /// <summary>Takes out every frame of a table that is no longer read. Visits every entry: for rare use.</summary>
    public void RemoveTable(int table)
    {
        foreach (FrameMemoryShard shard in _shards) shard.RemoveTable(table);
    }

    /// <summary>Takes everything out.</summary>
    public void Clear()
    {
        foreach (FrameMemoryShard shard in _shards) shard.Clear();
    }

    private FrameMemoryShard ShardOf(FrameKey key)
    {
        // Fibonacci hashing: neighbouring frames of one table spread evenly, and the dictionary below uses other bits.
        uint hash = ((uint)key.Table * 0x85EBCA6Bu) + ((uint)key.Frame * 0x9E3779B1u);
        return _shards[(int)((ulong)hash >> _shift)];
    }

    private long Sum(Func<FrameMemoryShard, long> read)
    {
        long sum = 0;
        foreach (FrameMemoryShard shard in _shards) sum += read(shard);
        return sum;
    }
}
