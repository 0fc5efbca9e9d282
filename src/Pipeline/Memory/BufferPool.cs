using System.Numerics;

namespace ZeroFlow.Pipeline.Memory;

/// <summary>
/// Pinned buffers in power-of-two sizes from 512 bytes to 64 MiB, kept for reuse up to a bound. Thread-safe.
/// </summary>
/// <remarks>
/// Fresh large arrays cost a gen-2 collection every few dozen, which stalls everything; a free list per size makes the
/// steady state free of allocation. Buffers are pinned so that system calls and native codecs need not pin them.
/// The pool bounds what it <em>keeps</em>, not what is rented: rent under a <see cref="Flow.ByteBudget"/>.
/// </remarks>
public sealed class BufferPool
{
    /// <summary>Largest buffer that can be rented, in bytes.</summary>
    public const int BufferBytesMax = 1 << (MinShift + Classes - 1);

    private const int MinShift = 9;
    private const int Classes = 18;

    private readonly FreeList[] _free = new FreeList[Classes];
    private readonly long _keptBytesMax;
    private long _keptBytes;
    private long _rentedBytes;

    /// <summary>Makes a pool that keeps at most <paramref name="keptBytesMax"/> bytes of unused buffers.</summary>
    public BufferPool(long keptBytesMax)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(keptBytesMax);
        _keptBytesMax = keptBytesMax;
        for (int i = 0; i < Classes; i++) _free[i] = new FreeList();
    }

    /// <summary>Bytes of unused buffers that the pool holds now.</summary>
    public long KeptBytes => Volatile.Read(ref _keptBytes);

    /// <summary>Bytes of buffers that are out on lease now, counted in whole size classes.</summary>
    public long RentedBytes => Volatile.Read(ref _rentedBytes);

    /// <summary>What a buffer of <paramref name="length"/> bytes costs in memory: its size class.</summary>
    public static int CapacityFor(int length) => 1 << (MinShift + ClassOf(length));

    /// <summary>Rents a buffer of <paramref name="length"/> bytes, not cleared. The caller owns one reference.</summary>
    public BufferLease Rent(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, BufferBytesMax);
        int sizeClass = ClassOf(length);
        int capacity = 1 << (MinShift + sizeClass);
        if (_free[sizeClass].TryPop(out BufferLease? lease))
            Interlocked.Add(ref _keptBytes, -capacity);
        else
            lease = new BufferLease(this, GC.AllocateUninitializedArray<byte>(capacity, pinned: true), sizeClass);

        Interlocked.Add(ref _rentedBytes, capacity);
        lease.Activate(length);
        return lease;
    }

    internal void Return(BufferLease lease)
    {
        int capacity = lease.Capacity;
        Interlocked.Add(ref _rentedBytes, -capacity);
        if (Interlocked.Add(ref _keptBytes, capacity) <= _keptBytesMax)
            _free[lease.SizeClass].Push(lease);
        else
            Interlocked.Add(ref _keptBytes, -capacity);
    }

    private static int ClassOf(int length) =>
        length <= 1 << MinShift ? 0 : BitOperations.Log2((uint)length - 1) + 1 - MinShift;

    private sealed class FreeList
    {
        private readonly Lock _lock = new();
        private readonly Stack<BufferLease> _leases = new();

        public bool TryPop([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BufferLease? lease)
        {
            lock (_lock) return _leases.TryPop(out lease);
        }

        public void Push(BufferLease lease)
        {
            lock (_lock) _leases.Push(lease);
        }
    }
}
