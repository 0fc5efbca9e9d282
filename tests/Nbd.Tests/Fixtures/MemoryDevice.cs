using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>A block device in an array, whose operations can be held back and made to fail.</summary>
internal sealed class MemoryDevice(ExportInfo info) : IBlockDevice
{
    private readonly Lock _lock = new();
    private readonly List<Held> _held = [];
    private readonly byte[] _bytes = new byte[info.SizeBytes];
    private int _started;

    public ExportInfo Info { get; set; } = info;

    public byte[] Bytes => _bytes;

    /// <summary>When it returns an exception for an operation, the operation fails with it.</summary>
    public Func<string, Exception?>? Fault { get; set; }

    /// <summary>Operations whose name is in the set wait for <see cref="ReleaseHeld"/>.</summary>
    public HashSet<string> HeldOperations { get; } = [];

    /// <summary>What flushes wait for when it is there: the first sequence, all of them together.</summary>
    public SequenceFrontier? Barrier { get; set; }

    public List<string> Log { get; } = [];

    public bool KeepsLog { get; set; }

    /// <summary>Parts that a read fails for while it fills the rest. In order, without overlap.</summary>
    public BlockRange[] Damage { get; set; } = [];

    public int Started => Volatile.Read(ref _started);

    public int HeldCount
    {
        get
        {
            lock (_lock) return _held.Count;
        }
    }

    /// <summary>Lets the held operations go on, oldest first or newest first.</summary>
    public void ReleaseHeld(bool newestFirst = false, int count = int.MaxValue)
    {
        for (; count > 0; count--)
        {
            Held next;
            lock (_lock)
            {
                if (_held.Count == 0) return;
                int index = newestFirst ? _held.Count - 1 : 0;
                next = _held[index];
                _held.RemoveAt(index);
            }

            next.TrySetResult();
        }
    }

    public ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        ValueTask turn = EnterAsync("read", offset, destination.Length, false, cancellation);
        if (!turn.IsCompletedSuccessfully) return LaterAsync(turn, _bytes, offset, destination);
        turn.GetAwaiter().GetResult();
        _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination.Span);
        return Damage.Length == 0 ? ValueTask.CompletedTask : DamagedAsync(offset, destination);

        // Static, so that a read that completes at once allocates nothing.
        static async ValueTask LaterAsync(ValueTask wait, byte[] bytes, long offset, Memory<byte> destination)
        {
            await wait;
            bytes.AsSpan((int)offset, destination.Length).CopyTo(destination.Span);
        }
    }

    /// <summary>What large reads are lent from, in pieces of so many bytes; none are lent when it is absent.</summary>
    public (BufferPool Pool, int PieceBytes)? Lending { get; set; }

    public ValueTask ReadOrBorrowAsync(
        long offset, Memory<byte> destination, List<BufferPiece> pieces, CancellationToken cancellation)
    {
        if (Lending is not { } lending) return ReadAsync(offset, destination, cancellation);
        for (int at = 0; at < destination.Length; at += lending.PieceBytes)
        {
            // One byte in front, which is not part of the piece.
            int length = Math.Min(lending.PieceBytes, destination.Length - at);
            BufferLease lease = lending.Pool.Rent(length + 1);
            _bytes.AsSpan((int)offset + at, length).CopyTo(lease.Span[1..]);
            pieces.Add(new BufferPiece(lease, 1, length));
        }

        return ValueTask.CompletedTask;
    }

    private ValueTask DamagedAsync(long offset, Memory<byte> destination)
    {
        var range = new BlockRange(offset, destination.Length);
        BlockRange[] failed = [.. Damage.Select(part => part.Intersect(range)).Where(part => !part.IsEmpty)];
        foreach (BlockRange part in failed) destination.Span.Slice((int)(part.Offset - offset), (int)part.Length).Fill(0xee);
        return failed.Length == 0 ? ValueTask.CompletedTask : ValueTask.FromException(
            new StorageFaultException(FaultKind.Corrupt, "Frames do not open.") { FailedRanges = failed });
    }

    public ValueTask WriteAsync(long offset, BufferLease payload, bool forceUnitAccess, CancellationToken cancellation)
    {
        ValueTask turn = EnterAsync("write", offset, payload.Length, forceUnitAccess, cancellation);
        if (!turn.IsCompletedSuccessfully) return LaterAsync(turn, _bytes, offset, payload);
        turn.GetAwaiter().GetResult();
        payload.Span.CopyTo(_bytes.AsSpan((int)offset));
        payload.Release();
        return ValueTask.CompletedTask;

        static async ValueTask LaterAsync(ValueTask wait, byte[] bytes, long offset, BufferLease payload)
        {
            try
            {
                await wait;
                payload.Span.CopyTo(bytes.AsSpan((int)offset));
            }
            finally
            {
                payload.Release();
            }
        }
    }

    public async ValueTask ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellation)
    {
        await EnterAsync("zero", range.Offset, range.Length, forceUnitAccess, cancellation);

        // An export may be told to be larger than it is.
        range = range.Intersect(new BlockRange(0, _bytes.Length));
        if (!range.IsEmpty) _bytes.AsSpan((int)range.Offset, (int)range.Length).Clear();
    }

    public ValueTask FlushAsync(CancellationToken cancellation)
    {
        ValueTask entered = EnterAsync("flush", 0, 0, false, cancellation);
        return Barrier?.WhenReachedAsync(new Sequence(1)) ?? entered;
    }

    /// <summary>Where nothing is stored. In order, without overlap.</summary>
    public List<BlockRange> Holes { get; } = [];

    public async ValueTask<int> GetStatusAsync(
        BlockRange range, Memory<BlockStatus> extents, CancellationToken cancellation)
    {
        await EnterAsync("status", range.Offset, range.Length, false, cancellation);
        var runs = new List<BlockStatus>();
        long at = range.Offset;
        foreach (BlockRange hole in Holes.Select(hole => hole.Intersect(range)).Where(hole => !hole.IsEmpty))
        {
            if (hole.Offset > at) runs.Add(new BlockStatus(hole.Offset - at, IsHole: false));
            runs.Add(new BlockStatus(hole.Length, IsHole: true));
            at = hole.End;
        }

        if (at < range.End) runs.Add(new BlockStatus(range.End - at, IsHole: false));
        int count = Math.Min(runs.Count, extents.Length);
        runs.GetRange(0, count).CopyTo(extents.Span);
        return count;
    }

    public void Prefetch(BlockRange range) => Note("prefetch", range.Offset, range.Length, false);

    private ValueTask EnterAsync(
        string operation, long offset, long length, bool isForced, CancellationToken cancellation)
    {
        Note(operation, offset, length, isForced);
        Interlocked.Increment(ref _started);
        if (Fault?.Invoke(operation) is { } fault) return ValueTask.FromException(fault);
        if (!HeldOperations.Contains(operation)) return ValueTask.CompletedTask;
        var held = new Held();
        lock (_lock) _held.Add(held);
        return new ValueTask(held.Task.WaitAsync(cancellation));
    }

    private void Note(string operation, long offset, long length, bool isForced)
    {
        if (!KeepsLog) return;
        lock (_lock) Log.Add($"{operation} {offset} {length}{(isForced ? " fua" : "")}");
    }

    private sealed class Held() : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
}
