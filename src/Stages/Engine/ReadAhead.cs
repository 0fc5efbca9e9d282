using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Fetches what one export's clients will probably read next: ahead of sequential streams, and where a client asks for
/// it (NBD_CMD_CACHE). Thread-safe.
/// </summary>
/// <remarks>
/// A hint: nothing here fails or makes a read wait. Pages of the map that the range needs are loaded on the way, so that
/// a stream goes on across the border of a page.
/// </remarks>
internal sealed class ReadAhead
{
    // What is asked for is at most a window for each of a few streams; a client's own hints may be many.
    private const int LoadsMax = 32;

    private readonly CommittedMap _committed;
    private readonly FrameReader _frames;
    private readonly ReadAheadDetector _detector;
    private readonly long _budgetBytes;
    private int _loads;

    public ReadAhead(CommittedMap committed, FrameReader frames, int chunkBytes, long budgetBytes)
    {
        _committed = committed;
        _frames = frames;
        _budgetBytes = budgetBytes;
        _detector = new ReadAheadDetector(chunkBytes, budgetBytes);
    }

    /// <summary>Takes note of a read, and fetches what lies ahead of its stream, if it belongs to one.</summary>
    public void Observe(BlockRange read, long exportBytes)
    {
        if (_detector.Observe(read, exportBytes) is { IsEmpty: false } ahead) Fetch(ahead);
    }

    /// <summary>Fetches <paramref name="range"/>, as far as it lies in the export and read-ahead has room.</summary>
    public void Prefetch(BlockRange range, long exportBytes)
    {
        // A client may ask for 4 GiB at once; no more is looked up than read-ahead has room for.
        long end = Math.Min(exportBytes, range.Offset + Math.Min(range.Length, _budgetBytes));
        range = range.Intersect(BlockRange.Between(0, end));
        if (!range.IsEmpty) Fetch(range);
    }

    private void Fetch(BlockRange range)
    {
        var hits = new List<CommittedHit>();
        if (_committed.TryCollect(range, hits)) FetchFrames(range, hits);
        else _ = FetchAsync(range, hits);
    }

    private async Task FetchAsync(BlockRange range, List<CommittedHit> hits)
    {
        try
        {
            if (Interlocked.Increment(ref _loads) > LoadsMax)
            {
                _detector.Forget(range, range.Offset);
                return;
            }

            var cursor = new MapCursor();
            for (long at = range.Offset; at < range.End;)
            {
                // Page by page: what the first one names need not wait for the second.
                var part = BlockRange.Between(at, Math.Min(range.End, (at / MapPage.Span + 1) * MapPage.Span));
                hits.Clear();
                await _committed.CollectAsync(part, hits, cursor, CancellationToken.None);
                FetchFrames(range, hits);
                at = part.End;
            }
        }
        catch (StorageFaultException)
        {
            // Whoever reads there meets the same fault, and is told.
        }
        finally
        {
            Interlocked.Decrement(ref _loads);
        }
    }

    private void FetchFrames(BlockRange range, List<CommittedHit> hits)
    {
        var frames = new List<FrameRef>(hits.Count);
        foreach (CommittedHit hit in hits)
        {
            if (hit.Frame is { } frame && (frames.Count == 0 || frames[^1].Key != frame.Key)) frames.Add(frame);
        }

        if (frames.Count > 0 && _frames.Prefetch(frames) is { } left) _detector.Forget(range, left);
    }
}
