using FsCheck;
using FsCheck.Fluent;
using Xunit;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class FrameMemoryCacheTests
{
    private const int FrameBytes = 4096;
    private const int CostBytes = FrameBytes + FrameMemoryCache.EntryOverheadBytes;

    private readonly BufferPool _pool = new(1 << 20);

    [Fact]
    public void A_hit_hands_out_a_reference_of_its_own()
    {
        var cache = new FrameMemoryCache(1 << 20);
        Add(cache, Key(1), fill: 7);
        Assert.True(cache.TryGet(Key(1), out BufferLease? lease));
        cache.Clear();
        Assert.Equal(7, lease.Span[0]);
        Assert.Equal(FrameBytes, _pool.RentedBytes);
        lease.Release();
        Assert.Equal(0, _pool.RentedBytes);
    }

    [Fact]
    public void What_is_not_there_is_a_miss_and_is_counted()
    {
        var cache = new FrameMemoryCache(1 << 20);
        Add(cache, Key(1));
        Assert.False(cache.TryGet(Key(2), out _));
        Assert.False(cache.TryGetAgain(Key(2), out _));
        Assert.False(cache.Contains(Key(2)));
        Assert.True(cache.Contains(Key(1)));
        Get(cache, Key(1));
        Assert.Equal((1, 1), (cache.Hits, cache.Misses));
    }

    [Fact]
    public void Adding_twice_keeps_one()
    {
        var cache = new FrameMemoryCache(1 << 20);
        Add(cache, Key(1), fill: 1);
        Add(cache, Key(1), fill: 2);
        Assert.Equal((1, CostBytes), (cache.Count, cache.Bytes));
        Assert.Equal(FrameBytes, _pool.RentedBytes);
    }

    [Fact]
    public void A_frame_larger_than_the_cache_is_not_kept()
    {
        var cache = new FrameMemoryCache(FrameBytes);
        Add(cache, Key(1));
        Assert.False(cache.Contains(Key(1)));
        Assert.Equal(0, _pool.RentedBytes);
    }

    [Fact]
    public void A_removed_table_is_gone_and_the_others_stay()
    {
        var cache = new FrameMemoryCache(64 << 20);
        for (int frame = 0; frame < 100; frame++)
        {
            Add(cache, new FrameKey(1, frame));
            Add(cache, new FrameKey(2, frame));
        }

        cache.RemoveTable(1);
        Assert.Equal(100, cache.Count);
        Assert.False(cache.Contains(new FrameKey(1, 50)));
        Assert.True(cache.Contains(new FrameKey(2, 50)));
        cache.Remove(new FrameKey(2, 50));
        Assert.False(cache.Contains(new FrameKey(2, 50)));
    }

    // The scan reads every frame several times in a row, as small sequential reads of large chunks do.
    [Fact]
    public void A_scan_does_not_evict_the_hot_set()
    {
        var cache = new FrameMemoryCache(100 * CostBytes);
        int[] hot = [.. Enumerable.Range(0, 50)];
        // Three rounds with other frames between them, as a cache in use sees: fetch what is missing.
        for (int round = 0; round < 3; round++)
        {
            foreach (int frame in hot) Fetch(cache, frame);
            for (int other = 0; other < 60; other++) Fetch(cache, 1000 + round * 100 + other);
        }

        long hits = 0;
        for (int scanned = 0; scanned < 2000; scanned++)
        {
            for (int part = 0; part < 8; part++) Fetch(cache, 10_000 + scanned);
            if (scanned % 40 == 0)
            {
                foreach (int frame in hot)
                    if (cache.Contains(Key(frame)))
                        hits++;
                foreach (int frame in hot) Fetch(cache, frame);
            }
        }

        Assert.Equal(50 * hot.Length, hits);
    }

    [Fact]
    public void Without_anything_hot_the_whole_budget_is_used()
    {
        var cache = new FrameMemoryCache(100 * CostBytes);
        for (int frame = 0; frame < 1000; frame++) Fetch(cache, frame);
        Assert.Equal(100, cache.Count);
        Assert.Equal(900, cache.Evictions);
    }

    // Any history of adds, lookups and removals stays within the bound, and every buffer comes back.
    [Fact]
    public void No_history_exceeds_the_budget_or_loses_a_buffer()
    {
        Prop.ForAll<(byte Action, byte Frame, ushort Size)[]>(history =>
        {
            var pool = new BufferPool(0);
            var cache = new FrameMemoryCache(40_000);
            foreach ((byte action, byte frame, ushort size) in history)
            {
                var key = new FrameKey(frame % 3, frame / 3);
                switch (action % 8)
                {
                    case 0:
                        cache.RemoveTable(key.Table);
                        break;
                    case 1:
                        cache.Remove(key);
                        break;
                    case 2 or 3:
                        if (cache.TryGet(key, out BufferLease? found)) found.Release();
                        break;
                    default:
                        BufferLease lease = pool.Rent(size % 12_000);
                        cache.Add(key, lease);
                        lease.Release();
                        break;
                }

                long expected = pool.RentedBytes + cache.Count * FrameMemoryCache.EntryOverheadBytes;
                if (cache.Bytes > cache.BudgetBytes || cache.Bytes != expected) return false;
            }

            cache.Clear();
            return cache is { Bytes: 0, Count: 0 } && pool.RentedBytes == 0;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(200).WithEndSize(400));
    }

    [Fact]
    public void Threads_that_add_look_up_and_remove_at_once_see_only_right_bytes()
    {
        var cache = new FrameMemoryCache(16L << 20);
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4 }, worker =>
        {
            var random = new Random(worker);
            for (int round = 0; round < 20_000; round++)
            {
                int frame = random.Next(6000);
                if (cache.TryGet(Key(frame), out BufferLease? lease))
                {
                    Assert.Equal((byte)frame, lease.Span[^1]);
                    lease.Release();
                }
                else
                {
                    Add(cache, Key(frame), (byte)frame);
                }

                if (round % 5000 == 4999) cache.RemoveTable(0);
            }
        });
        Assert.InRange(cache.Bytes, 0, cache.BudgetBytes);
        cache.Clear();
        Assert.Equal(0, _pool.RentedBytes);
    }

    private static FrameKey Key(int frame) => new(0, frame);

    private static void Get(FrameMemoryCache cache, FrameKey key)
    {
        Assert.True(cache.TryGet(key, out BufferLease? lease));
        lease.Release();
    }

    private void Fetch(FrameMemoryCache cache, int frame)
    {
        if (cache.TryGet(Key(frame), out BufferLease? lease)) lease.Release();
        else Add(cache, Key(frame));
    }

    private void Add(FrameMemoryCache cache, FrameKey key, byte fill = 0)
    {
        BufferLease lease = _pool.Rent(FrameBytes);
        lease.Span.Fill(fill);
        cache.Add(key, lease);
        lease.Release();
    }
}
