using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Map;

/// <summary>
/// The memory of all maps of a store: stored pages that are in memory, within a budget, and a count of the changes that
/// no checkpoint holds yet. Thread-safe.
/// </summary>
/// <remarks>
/// Pages are evicted by a clock with a second chance. One that is not in memory is read like a frame of data: from the
/// disk cache, or by a ranged GET that concurrent readers share.
/// </remarks>
internal sealed class MapPages
{
    // A list of extents, its list of leaves and the first leaf; then what an extent takes in a leaf that is not full.
    private const int DeltaBytes = 640;
    private const int ExtentBytes = 56;

    private readonly Lock _lock = new();
    private readonly Queue<MapSlot> _clock = new();
    private FrameReader? _frames;
    private FrameMemoryCache? _memory;
    private long _budgetBytes;
    private long _residentBytes;
    private long _changedBytes;

    /// <summary>Bytes of stored pages in memory.</summary>
    public long ResidentBytes => Volatile.Read(ref _residentBytes);

    /// <summary>Bytes of changes that no stored checkpoint holds, about.</summary>
    public long ChangedBytes => Volatile.Read(ref _changedBytes);

    /// <summary>Gives the way to stored pages. Until then nothing is loaded, and nothing has to be.</summary>
    public void Attach(FrameReader frames, FrameMemoryCache memory, long budgetBytes)
    {
        _frames = frames;
        _memory = memory;
        _budgetBytes = budgetBytes;
    }

    /// <summary>Reads a stored page.</summary>
    /// <exception cref="StorageFaultException">It cannot be read, or is not what was stored.</exception>
    public async ValueTask<MapPage> LoadAsync(ExportId export, long pageStart, Fragment place, CancellationToken cancellation)
    {
        BufferLease lease = await ReadAsync(export, pageStart, place, cancellation);
        try
        {
            return new MapPage(PiecesOf(lease, export, pageStart).ToArray());
        }
        finally
        {
            lease.Release();
        }
    }

    /// <summary>Reads the bytes of a stored page, for <see cref="PiecesOf"/>. The caller owns one reference.</summary>
    public async ValueTask<BufferLease> ReadAsync(
        ExportId export, long pageStart, Fragment place, CancellationToken cancellation)
    {
        if (_frames is null) throw new InvalidOperationException("The maps have no reader yet.");
        FrameRef frame = place.ToFrame(export, pageStart);
        BufferLease lease = await _frames.ReadAsync(frame, cancellation);

        // Pages have a cache of their own.
        _memory!.Remove(frame.Key);
        return lease;
    }

    /// <summary>The pieces in the bytes of a stored page, borrowed from the lease.</summary>
    /// <exception cref="StorageFaultException">The page contradicts itself.</exception>
    public static ReadOnlySpan<MapPiece> PiecesOf(BufferLease lease, ExportId export, long pageStart) =>
        MapPage.TryDecode(lease.Span, out ReadOnlySpan<MapPiece> pieces)
            ? pieces
            : throw StorageFaultException.Corrupt(
                $"A page of the map (export {export}, offset {pageStart}) contradicts itself.");

    /// <summary>Starts to bring a stored page near; a hint.</summary>
    public void Prefetch(ExportId export, long pageStart, Fragment place) =>
        _frames?.Prefetch([place.ToFrame(export, pageStart)]);

    /// <summary>Makes <paramref name="page"/>, or none, the slot's resident one, and evicts others to make room.</summary>
    public void SetResident(MapSlot slot, MapPage? page)
    {
        lock (_lock)
        {
            slot.Resident = page;
            Count(slot, page?.MemoryBytes ?? 0);
            if (page is not null && !slot.IsQueued)
            {
                slot.IsQueued = true;
                _clock.Enqueue(slot);
            }

            Evict();
        }
    }

    /// <summary>Counts a change of a slot's extents.</summary>
    public void Changed(int lists, int extents) =>
        Interlocked.Add(ref _changedBytes, ((long)lists * DeltaBytes) + ((long)extents * ExtentBytes));

    private void Evict()
    {
        // Two turns find a victim wherever there is one.
        for (int left = 2 * _clock.Count; _residentBytes > _budgetBytes && left > 0 && _clock.TryDequeue(out MapSlot? slot); left--)
        {
            if (slot.WasUsed && slot.CountedBytes > 0)
            {
                slot.WasUsed = false;
                _clock.Enqueue(slot);
                continue;
            }

            slot.IsQueued = false;
            slot.Resident = null;
            Count(slot, 0);
        }
    }

    private void Count(MapSlot slot, long bytes)
    {
        Interlocked.Add(ref _residentBytes, bytes - slot.CountedBytes);
        slot.CountedBytes = bytes;
    }
}
