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
    private readonly Queue<StoredPage> _clock = new();
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
    public async ValueTask<MapPage> LoadAsync(StoredPage stored, CancellationToken cancellation)
    {
        BufferLease lease = await ReadAsync(stored, cancellation);
        try
        {
            return new MapPage(PiecesOf(lease, stored).ToArray());
        }
        finally
        {
            lease.Release();
        }
    }

    /// <summary>Reads the bytes of a stored page, for <see cref="PiecesOf"/>. The caller owns one reference.</summary>
    public async ValueTask<BufferLease> ReadAsync(StoredPage stored, CancellationToken cancellation)
    {
        FrameRef frame = FrameOf(stored);
        BufferLease lease = await Frames.ReadAsync(frame, cancellation);

        // Pages have a cache of their own.
        _memory!.Remove(frame.Key);
        return lease;
    }

    /// <summary>Reads several at once, in few requests. The caller owns one reference to each lease.</summary>
    public async ValueTask<BufferLease?[]> ReadManyAsync(IEnumerable<StoredPage> stored, CancellationToken cancellation)
    {
        FrameRef[] frames = [.. stored.Select(FrameOf)];
        var leases = new BufferLease?[frames.Length];
        await Frames.ReadManyAsync(frames, leases, cancellation);
        foreach (FrameRef frame in frames) _memory!.Remove(frame.Key);
        return leases;
    }

    /// <summary>The pieces in the bytes of a stored page, borrowed from the lease.</summary>
    /// <exception cref="StorageFaultException">The page contradicts itself.</exception>
    public static ReadOnlySpan<MapPiece> PiecesOf(BufferLease lease, StoredPage stored) =>
        MapPage.TryDecode(lease.Span, out ReadOnlySpan<MapPiece> pieces)
            ? pieces
            : throw StorageFaultException.Corrupt(
                $"A page of the map (export {stored.Family.Id}, offset {stored.Start}) contradicts itself.");

    /// <summary>Keeps <paramref name="page"/>, or none, in memory, and evicts others to make room.</summary>
    public void SetResident(StoredPage stored, MapPage? page)
    {
        lock (_lock)
        {
            stored.Resident = page;
            Count(stored, page?.MemoryBytes ?? 0);
            if (page is not null && !stored.IsQueued)
            {
                stored.IsQueued = true;
                _clock.Enqueue(stored);
            }

            Evict();
        }
    }

    /// <summary>Counts a change of a slot's extents.</summary>
    public void Changed(int lists, int extents) =>
        Interlocked.Add(ref _changedBytes, ((long)lists * DeltaBytes) + ((long)extents * ExtentBytes));

    private FrameReader Frames => _frames ?? throw new InvalidOperationException("The maps have no reader yet.");

    private static FrameRef FrameOf(StoredPage stored) => stored.Place.ToFrame(stored.Family.Id, stored.Start);

    private void Evict()
    {
        // Two turns find a victim wherever there is one.
        for (int left = 2 * _clock.Count; _residentBytes > _budgetBytes && left > 0 && _clock.TryDequeue(out StoredPage? stored); left--)
        {
            if (stored.WasUsed && stored.CountedBytes > 0)
            {
                stored.WasUsed = false;
                _clock.Enqueue(stored);
                continue;
            }

            stored.IsQueued = false;
            stored.Resident = null;
            Count(stored, 0);
        }
    }

    private void Count(StoredPage stored, long bytes)
    {
        Interlocked.Add(ref _residentBytes, bytes - stored.CountedBytes);
        stored.CountedBytes = bytes;
    }
}
