using System.Numerics;

namespace ZeroFlow.Pipeline.Memory;

/// <summary>
/// Pinned buffers from 512 bytes to 64 MiB, kept for reuse up to a bound. Thread-safe. Sizes are powers of two up to
/// 64 KiB; above it there are four in each doubling, so that a large buffer wastes at most a fifth.
/// </summary>
/// <remarks>
/// Fresh large arrays cost a gen-2 collection every few dozen, which stalls everything; a free list per size makes the
/// steady state free of allocation. Buffers are pinned so that system calls and native codecs need not pin them.
/// The pool bounds what it <em>keeps</em>, not what is rented: rent under a <see cref="Flow.ByteBudget"/>. When the mix of
/// sizes changes, unused buffers of other sizes make room for the new ones.
/// </remarks>
public sealed class BufferPool
{
    /// <summary>Largest buffer that can be rented, in bytes.</summary>
    public const int BufferBytesMax = 1 << MaxShift;

    private const int MinShift = 9;
    private const int FineShift = 16;
    private const int MaxShift = 26;
    private const int CoarseClasses = FineShift - MinShift + 1;
    private const int Steps = 4;
    private const int Classes = CoarseClasses + ((MaxShift - FineShift) * Steps);

    private readonly FreeList[] _free = new FreeList[Classes];
    private readonly long _footprintBytesMax;
    private long _keptBytes;
    private long _rentedBytes;

    /// <summary>
    /// Makes a pool that keeps unused buffers as long as they and the rented ones are at most
    /// <paramref name="footprintBytesMax"/> bytes together.
    /// </summary>
    public BufferPool(long footprintBytesMax)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(footprintBytesMax);
        _footprintBytesMax = footprintBytesMax;
        for (int i = 0; i < Classes; i++) _free[i] = new FreeList();
    }

    /// <summary>Bytes of unused buffers that the pool holds now.</summary>
    public long KeptBytes => Volatile.Read(ref _keptBytes);

    /// <summary>Bytes of buffers that are out on lease now, counted in whole size classes.</summary>
    public long RentedBytes => Volatile.Read(ref _rentedBytes);

    /// <summary>What a buffer of <paramref name="length"/> bytes costs in memory: its size class.</summary>
    public static int CapacityFor(int length) => CapacityOf(ClassOf(length));

    /// <summary>Rents a buffer of <paramref name="length"/> bytes, not cleared. The caller owns one reference.</summary>
    public BufferLease Rent(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, BufferBytesMax);
        int sizeClass = ClassOf(length);
        int capacity = CapacityOf(sizeClass);
        if (_free[sizeClass].TryPop(out BufferLease? lease))
            Interlocked.Add(ref _keptBytes, -capacity);
        else
            lease = Allocate(sizeClass, capacity);

        Interlocked.Add(ref _rentedBytes, capacity);
        lease.Activate(length);
        return lease;
    }

    internal void Return(BufferLease lease)
    {
        int capacity = lease.Capacity;
        long rented = Interlocked.Add(ref _rentedBytes, -capacity);
        if (rented + Interlocked.Add(ref _keptBytes, capacity) <= _footprintBytesMax)
            _free[lease.SizeClass].Push(lease);
        else
            Interlocked.Add(ref _keptBytes, -capacity);
    }

    private static int ClassOf(int length)
    {
        if (length <= 1 << MinShift) return 0;
        int shift = BitOperations.Log2((uint)length - 1);
        if (shift < FineShift) return shift + 1 - MinShift;
        int step = (length - 1 - (1 << shift)) >> (shift - 2);
        return CoarseClasses + ((shift - FineShift) * Steps) + step;
    }

    private static int CapacityOf(int sizeClass)
    {
        if (sizeClass < CoarseClasses) return 1 << (MinShift + sizeClass);
        int shift = FineShift + ((sizeClass - CoarseClasses) / Steps);
        int step = (sizeClass - CoarseClasses) % Steps;
        return (1 << shift) + ((step + 1) << (shift - 2));
    }

    private BufferLease Allocate(int sizeClass, int capacity)
    {
        long excess = Volatile.Read(ref _rentedBytes) + Volatile.Read(ref _keptBytes) + capacity - _footprintBytesMax;
        for (int other = Classes - 1; other >= 0 && excess > 0; other--)
        {
            while (excess > 0 && _free[other].TryPop(out BufferLease? unused))
            {
                excess -= unused.Capacity;
                Interlocked.Add(ref _keptBytes, -unused.Capacity);
            }
        }

        return new BufferLease(this, GC.AllocateUninitializedArray<byte>(capacity, pinned: true), sizeClass);
    }

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
