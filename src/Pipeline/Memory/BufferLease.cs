namespace ZeroFlow.Pipeline.Memory;

/// <summary>
/// A counted reference to a pooled, pinned buffer. The one who rents it owns the first reference; each reference is
/// given back with <see cref="Release"/>, and the last one returns the buffer to its pool.
/// </summary>
/// <remarks>
/// A lease may be shared between threads as long as each holds a reference of its own. Using it after its last
/// <see cref="Release"/> is a bug that the count detects where it can.
/// </remarks>
public sealed class BufferLease
{
    private readonly BufferPool _pool;
    private readonly byte[] _array;
    private int _references;

    internal BufferLease(BufferPool pool, byte[] array, int sizeClass)
    {
        _pool = pool;
        _array = array;
        SizeClass = sizeClass;
    }

    internal int SizeClass { get; }

    /// <summary>Bytes the array holds, at least <see cref="Length"/>: what the lease costs in memory.</summary>
    public int Capacity => _array.Length;

    /// <summary>Bytes that were asked for.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes that were asked for; not cleared when rented.</summary>
    public Memory<byte> Memory => new(_array, 0, Length);

    /// <inheritdoc cref="Memory"/>
    public Span<byte> Span => new(_array, 0, Length);

    /// <summary>The array behind the lease, for APIs that take nothing else. Its first <see cref="Length"/> bytes count.</summary>
    public byte[] Array => _array;

    internal void Activate(int length)
    {
        Length = length;
        Volatile.Write(ref _references, 1);
    }

    /// <summary>Adds a reference. The caller must hold one, or hold the lock under which one is held.</summary>
    public void AddReference()
    {
        if (Interlocked.Increment(ref _references) <= 1)
            throw new InvalidOperationException("A buffer lease was shared after its last release.");
    }

    /// <summary>Gives one reference back; the last one returns the buffer to the pool.</summary>
    public void Release()
    {
        int left = Interlocked.Decrement(ref _references);
        if (left == 0) _pool.Return(this);
        else if (left < 0) throw new InvalidOperationException("A buffer lease was released more often than it was taken.");
    }

    /// <summary>Shortens the lease to its first <paramref name="length"/> bytes.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }
}
