using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// Finds sequential streams among the reads of one export, and says what to fetch next for them. No I/O. Thread-safe.
/// </summary>
/// <remarks>
/// It follows the latest few streams, since a client with several backends or files scans several places at once. A
/// stream counts as one after it has read on for a chunk; its window then starts at two chunks (two
/// reads where those are longer) and doubles with each step that its reader comes nearer its end, so that short scans
/// waste little. A single stream gets the whole budget, several share it: what hides a round trip of tens of
/// milliseconds is the bytes under way, so a window that has its full size is topped up in eighths, each of which
/// becomes a GET, and not by halves.
/// A read that continues no stream begins a new one in the place of the stream that was idle longest.
/// </remarks>
internal sealed class ReadAheadDetector
{
    // Below this a GET's round trip is not paid for.
    private const long StepBytes = 1 << 20;

    // A stream that none of so many reads continued has come to its end, or its reader works on what it has.
    private const int IdleReads = 256;

    private readonly Lock _lock = new();
    private readonly Stream[] _streams;
    private readonly long _chunkBytes;
    private readonly long _budgetBytes;
    private readonly long _reorderBytesMax;
    private long _clock;

    /// <summary>Makes a detector.</summary>
    /// <param name="chunkBytes">Chunk size of the export: windows begin and end at multiples of it.</param>
    /// <param name="budgetBytes">
    /// What read-ahead may have under way. Windows take three quarters of it, because buffers come in sizes.
    /// </param>
    /// <param name="streams">Streams to follow at once.</param>
    public ReadAheadDetector(int chunkBytes, long budgetBytes, int streams = 8)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunkBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(streams);
        _chunkBytes = chunkBytes;
        _budgetBytes = budgetBytes / 4 * 3;
        _reorderBytesMax = budgetBytes / streams;
        _streams = new Stream[streams];
        // No read begins at -1: an unused place continues nothing.
        Array.Fill(_streams, new Stream { Next = -1 - chunkBytes });
    }

    /// <summary>
    /// Takes note of a read and returns the range to fetch ahead now, in whole chunks within the export of
    /// <paramref name="exportBytes"/>; empty when there is nothing to do.
    /// </summary>
    public BlockRange Observe(BlockRange read, long exportBytes)
    {
        lock (_lock)
        {
            _clock++;
            int found = Find(read);
            if (found < 0)
            {
                _streams[LeastRecent()] = new Stream { Next = read.End, Used = _clock };
                return default;
            }

            ref Stream stream = ref _streams[found];
            stream.Used = _clock;
            if (read.End <= stream.Next) return default;
            stream.RunBytes += read.End - Math.Max(stream.Next, read.Offset);
            stream.Next = read.End;
            return stream.RunBytes < _chunkBytes ? default : Advance(ref stream, read.Length, exportBytes);
        }
    }

    /// <summary>
    /// Takes back what <see cref="Observe"/> returned, from <paramref name="offset"/> on, because there was no room for
    /// it: the stream's next read asks for it again.
    /// </summary>
    public void Forget(BlockRange ahead, long offset)
    {
        lock (_lock)
        {
            foreach (ref Stream stream in _streams.AsSpan())
            {
                if (stream.FetchedUntil == ahead.End)
                    stream.FetchedUntil = Math.Max(ahead.Offset, offset / _chunkBytes * _chunkBytes);
            }
        }
    }

    private BlockRange Advance(ref Stream stream, long readBytes, long exportBytes)
    {
        long windowMax = WindowMax();
        if (windowMax == 0) return default;
        long ahead = stream.FetchedUntil - stream.Next;
        long step = Math.Max(stream.Window / 8, Math.Min(stream.Window / 2, StepBytes));
        if (stream.Window > 0 && ahead > stream.Window - step) return default;
        long wanted = stream.Window == 0 ? 2 * Math.Max(_chunkBytes, RoundUp(readBytes)) : 2 * stream.Window;
        stream.Window = Math.Min(windowMax, wanted);
        long start = Math.Max(stream.FetchedUntil, stream.Next / _chunkBytes * _chunkBytes);
        long end = Math.Min(exportBytes, RoundUp(stream.Next) + stream.Window);
        if (end <= start) return default;
        stream.FetchedUntil = end;
        return BlockRange.Between(start, end);
    }

    // The share of one stream among those that still read.
    private long WindowMax()
    {
        int reading = 0;
        foreach (ref readonly Stream stream in _streams.AsSpan())
            if (stream.Window > 0 && _clock - stream.Used < IdleReads) reading++;
        return _budgetBytes / Math.Max(1, reading) / _chunkBytes * _chunkBytes;
    }

    /// <summary>
    /// The stream that a read continues. Requests overtake each other on their way, so a known stream may skip ahead
    /// within its window or look back as far, but a new one only by less than a chunk.
    /// </summary>
    private int Find(BlockRange read)
    {
        int best = -1;
        long bestDistance = long.MaxValue;
        for (int i = 0; i < _streams.Length; i++)
        {
            ref readonly Stream stream = ref _streams[i];
            long distance = Math.Abs(read.Offset - stream.Next);
            long tolerance = stream.Window == 0 ? _chunkBytes - 1 : Math.Min(stream.Window, _reorderBytesMax);
            if (distance > tolerance || distance >= bestDistance || stream.Next < 0) continue;
            // A stream that is not yet known has to read on: random reads look back as often as forward.
            if (stream.Window == 0 && read.Offset < stream.Next) continue;
            best = i;
            bestDistance = distance;
        }

        return best;
    }

    private int LeastRecent()
    {
        int oldest = 0;
        for (int i = 1; i < _streams.Length; i++)
            if (_streams[i].Used < _streams[oldest].Used) oldest = i;
        return oldest;
    }

    private long RoundUp(long offset) => (offset + _chunkBytes - 1) / _chunkBytes * _chunkBytes;

    private struct Stream
    {
        public long Next;
        public long FetchedUntil;
        public long Window;
        public long RunBytes;
        public long Used;
    }
}
