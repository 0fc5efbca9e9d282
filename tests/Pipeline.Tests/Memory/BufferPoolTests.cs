using Xunit;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Pipeline.Tests.Memory;

public sealed class BufferPoolTests
{
    [Theory]
    [InlineData(0, 512)]
    [InlineData(1, 512)]
    [InlineData(512, 512)]
    [InlineData(513, 1024)]
    [InlineData(4096, 4096)]
    [InlineData(4097, 8192)]
    [InlineData(65536, 65536)]
    [InlineData(65537, 80 * 1024)]
    [InlineData(80 * 1024, 80 * 1024)]
    [InlineData((80 * 1024) + 1, 96 * 1024)]
    [InlineData((112 * 1024) + 1, 128 * 1024)]
    [InlineData((1 << 20) + 1, 1280 * 1024)]
    [InlineData((48 << 20) + 1, 56 << 20)]
    [InlineData((56 << 20) + 1, 64 << 20)]
    [InlineData(BufferPool.BufferBytesMax, BufferPool.BufferBytesMax)]
    public void A_lease_has_the_length_asked_for_and_the_smallest_class_that_holds_it(int length, int capacity)
    {
        var pool = new BufferPool(0);
        BufferLease lease = pool.Rent(length);
        Assert.Equal(length, lease.Length);
        Assert.Equal(length, lease.Memory.Length);
        Assert.Equal(length, lease.Span.Length);
        Assert.Equal(capacity, lease.Capacity);
        Assert.Equal(capacity, BufferPool.CapacityFor(length));
        Assert.Equal(capacity, pool.RentedBytes);
        lease.Release();
        Assert.Equal(0, pool.RentedBytes);
    }

    [Fact]
    public void Lengths_out_of_bounds_are_refused_and_count_nothing()
    {
        var pool = new BufferPool(1 << 20);
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(BufferPool.BufferBytesMax + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new BufferPool(-1));
        Assert.Equal(0, pool.RentedBytes);
    }

    [Fact]
    public void The_last_release_returns_the_buffer_and_not_an_earlier_one()
    {
        var pool = new BufferPool(1 << 20);
        BufferLease lease = pool.Rent(1000);
        lease.AddReference();
        lease.AddReference();
        lease.Release();
        lease.Release();
        Assert.Equal(1024, pool.RentedBytes);
        Assert.Equal(0, pool.KeptBytes);
        lease.Release();
        Assert.Equal(0, pool.RentedBytes);
        Assert.Equal(1024, pool.KeptBytes);
    }

    [Fact]
    public void A_release_too_many_is_told_and_does_not_put_the_buffer_into_the_pool_twice()
    {
        var pool = new BufferPool(1 << 20);
        BufferLease lease = pool.Rent(1000);
        lease.Release();
        Assert.Throws<InvalidOperationException>(lease.Release);
        Assert.Equal(1024, pool.KeptBytes);
        BufferLease first = pool.Rent(1000);
        BufferLease second = pool.Rent(1000);
        Assert.NotSame(first.Array, second.Array);
    }

    [Fact]
    public void Sharing_after_the_last_release_is_told()
    {
        BufferLease lease = new BufferPool(1 << 20).Rent(1000);
        lease.Release();
        Assert.Throws<InvalidOperationException>(lease.AddReference);
    }

    [Fact]
    public void Buffers_are_used_again_with_their_new_length()
    {
        var pool = new BufferPool(1 << 20);
        BufferLease first = pool.Rent(1000);
        byte[] array = first.Array;
        first.Release();
        BufferLease second = pool.Rent(700);
        Assert.Same(array, second.Array);
        Assert.Equal(700, second.Length);
        Assert.Equal(0, pool.KeptBytes);
        second.Release();
    }

    [Fact]
    public void A_truncated_lease_is_shorter_for_everybody_and_cannot_grow_again()
    {
        BufferLease lease = new BufferPool(0).Rent(1000);
        lease.Truncate(10);
        Assert.Equal(10, lease.Span.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.Truncate(11));
        lease.Release();
    }

    [Fact]
    public void The_pool_keeps_no_more_than_its_bound()
    {
        var pool = new BufferPool(4096);
        BufferLease[] leases = [.. Enumerable.Range(0, 10).Select(_ => pool.Rent(1024))];
        Assert.Equal(10 * 1024, pool.RentedBytes);
        foreach (BufferLease lease in leases) lease.Release();
        Assert.Equal(4096, pool.KeptBytes);
        Assert.Equal(0, pool.RentedBytes);

        // A size that does not fit beside what is kept takes its place.
        BufferLease large = pool.Rent(4096);
        Assert.Equal(0, pool.KeptBytes);
        large.Release();
        Assert.Equal(4096, pool.KeptBytes);

        BufferLease small = pool.Rent(512);
        Assert.Equal(0, pool.KeptBytes);
        small.Release();
        Assert.Equal(512, pool.KeptBytes);
    }

    [Fact]
    public void What_is_rented_leaves_less_to_keep()
    {
        var pool = new BufferPool(4096);
        BufferLease held = pool.Rent(2048);
        BufferLease[] leases = [.. Enumerable.Range(0, 4).Select(_ => pool.Rent(1024))];
        foreach (BufferLease lease in leases) lease.Release();
        Assert.Equal(2048, pool.KeptBytes);
        held.Release();
        Assert.Equal(4096, pool.KeptBytes);
    }

    // Each thread stamps what it holds: two holders of one buffer would see each other's stamps.
    [Fact]
    public void Many_threads_never_hold_the_same_buffer()
    {
        const int Threads = 4;
        var pool = new BufferPool(64 * 1024);
        Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, thread =>
        {
            var random = new Random(thread);
            var held = new Queue<BufferLease>();
            for (int i = 0; i < 5000; i++)
            {
                BufferLease lease = pool.Rent(random.Next(1, 4096));
                lease.Span.Fill((byte)(thread + 1));
                held.Enqueue(lease);
                if (held.Count < 8) continue;
                BufferLease oldest = held.Dequeue();
                Assert.False(oldest.Span.ContainsAnyExcept((byte)(thread + 1)));
                oldest.Release();
            }

            while (held.TryDequeue(out BufferLease? lease)) lease.Release();
        });
        Assert.Equal(0, pool.RentedBytes);
        Assert.InRange(pool.KeptBytes, 1, 64 * 1024);
    }
}
