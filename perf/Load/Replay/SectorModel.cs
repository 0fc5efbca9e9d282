namespace ZeroFlow.Perf.Replay;

/// <summary>
/// What each sector of the device may hold, given what was sent and what was answered, over all connections.
/// Thread-safe.
/// </summary>
/// <remarks>
/// Writes that overlap while both are under way may land in either order, so a sector has a range of right answers:
/// from the first write of the last group of overlapping ones, once all of that group are answered, to the newest that
/// was sent. Without overlaps that is exactly the last write. TRIM may leave what was there or zeros. A sector that is
/// read while it is changed may come back torn, for page caches copy without a lock; if it is whole, its age still
/// counts.
/// </remarks>
internal sealed class SectorModel
{
    private const int PageSectors = 2048;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Sector[]> _pages = [];
    private long _sequence;

    /// <summary>A write, of data or of zeros, or a TRIM is about to be sent; returns its sequence.</summary>
    public long Begin(long first, int count, SectorChange change)
    {
        lock (_lock)
        {
            var sequence = ++_sequence;
            for (var number = first; number < first + count; number++)
            {
                ref var sector = ref At(number);
                if (sector.UnderWay++ == 0)
                {
                    sector.GroupFirst = sequence;
                    sector.GroupWrites = false;
                }

                sector.GroupWrites |= change != SectorChange.Trim;
                sector.Newest = sequence;
                if (change != SectorChange.Data) sector.ZeroedLast = sequence;
            }

            return sequence;
        }
    }

    /// <summary>It was answered.</summary>
    public void End(long first, int count)
    {
        lock (_lock)
        {
            for (var number = first; number < first + count; number++)
            {
                ref var sector = ref At(number);
                if (--sector.UnderWay == 0 && sector.GroupWrites) sector.Oldest = sector.GroupFirst;
            }
        }
    }

    /// <summary>A read is about to be sent: notes how things stand in each sector.</summary>
    public void BeginRead(long first, Span<SectorMark> marks)
    {
        lock (_lock)
        {
            for (var at = 0; at < marks.Length; at++)
            {
                ref var sector = ref At(first + at);
                marks[at] = new SectorMark(sector.Oldest, sector.UnderWay > 0 ? -1 : sector.Newest);
            }
        }
    }

    /// <summary>
    /// A read was answered: the first sector that holds what it must not, or -1. <paramref name="found"/> has what
    /// <see cref="SectorStamp.Read"/> says of each.
    /// </summary>
    public long FindWrong(long first, ReadOnlySpan<SectorMark> marks, ReadOnlySpan<long> found)
    {
        lock (_lock)
        {
            for (var at = 0; at < found.Length; at++)
            {
                ref var sector = ref At(first + at);
                var oldest = marks[at].Oldest;
                var changed = marks[at].Newest != sector.Newest;
                var right = found[at] switch
                {
                    SectorStamp.Damaged => changed,
                    SectorStamp.Foreign => changed || oldest == 0,
                    SectorStamp.Zeros => changed || oldest == 0 || sector.ZeroedLast >= oldest,
                    var sequence => sequence >= oldest && sequence <= sector.Newest,
                };
                if (!right) return first + at;
            }

            return -1;
        }
    }

    private ref Sector At(long number)
    {
        if (!_pages.TryGetValue(number / PageSectors, out var page))
            _pages[number / PageSectors] = page = new Sector[PageSectors];
        return ref page[number % PageSectors];
    }

    private struct Sector
    {
        public long Oldest;
        public long Newest;
        public long ZeroedLast;
        public long GroupFirst;
        public int UnderWay;
        public bool GroupWrites;
    }
}

/// <summary>How a sector stood when a read of it began.</summary>
/// <param name="Oldest">The oldest write that it may see; 0 for anything.</param>
/// <param name="Newest">The newest change, all of them answered; -1 while one is under way.</param>
internal readonly record struct SectorMark(long Oldest, long Newest);

/// <summary>What a request does to sectors.</summary>
internal enum SectorChange
{
    Data,
    Zeros,
    Trim,
}
