using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Map;

internal sealed partial class CommittedMap
{
    // Stands for a stored page that two maps share: it says the same for both, and is not read to find that out.
    private static readonly MapPage s_unread = new([]);

    /// <summary>
    /// Appends the parts of <paramref name="range"/> where this map and another one of its family name different bytes, in
    /// order. Each page is compared as of one moment after the call began.
    /// </summary>
    /// <remarks>
    /// Places are compared, not bytes: equal places hold equal bytes. Bytes that were written anew, or that settling moved
    /// for one of the maps only, count as different though they may be the same. Slots and stored pages that are shared
    /// are equal without a look at what they say.
    /// </remarks>
    /// <param name="other">The other map.</param>
    /// <param name="range">Within the smaller one of the exports.</param>
    /// <param name="cursors">What was loaded on the way; the same for a walk in ascending order.</param>
    /// <param name="changed">Gets the parts.</param>
    /// <param name="cancellation">Gives up waiting for pages.</param>
    public async ValueTask CompareAsync(
        CommittedMap other, BlockRange range, (MapCursor Mine, MapCursor Theirs) cursors, List<BlockRange> changed,
        CancellationToken cancellation)
    {
        if (other._family != _family) throw new ArgumentException("The maps have nothing in common.", nameof(other));
        for (long at = range.Offset; at < range.End;)
        {
            BlockRange part = PartInPage(at, range.End);
            cursors.Mine.MoveTo(part.Offset / MapPage.Span);
            cursors.Theirs.MoveTo(part.Offset / MapPage.Span);
            while (true)
            {
                MapCursor lacking;
                CommittedMap map;
                lock (_family.Lock)
                {
                    if (TryCompare(other, part, cursors, changed, out map, out StoredPage? wanted)) break;
                    lacking = map == this ? cursors.Mine : cursors.Theirs;
                    lacking.Stored = wanted;
                }

                lacking.Loaded = await map.TryLoadAsync(lacking.Stored!, cancellation);
            }

            at = part.End;
        }
    }

    // False when `map` needs the stored page `wanted`.
    private bool TryCompare(
        CommittedMap other, BlockRange part, (MapCursor Mine, MapCursor Theirs) cursors, List<BlockRange> changed,
        out CommittedMap map, out StoredPage? wanted)
    {
        map = this;
        wanted = null;
        if (_isDropped || other._isDropped)
            throw new StorageFaultException(FaultKind.Closing, "The export or the snapshot was deleted or rolled back.");
        long page = part.Offset / MapPage.Span;
        MapSlot? mine = _slots[page], theirs = other._slots[page];
        if (mine == theirs) return true;
        List<CommittedHit> here = [], there = [];
        if (mine?.Base?.Stored is { } shared && shared == theirs?.Base?.Stored)
        {
            CollectDelta(mine, part, s_unread, here);
            other.CollectDelta(theirs, part, s_unread, there);
        }
        else
        {
            if (!TryCollectPart(part, cursors.Mine.Loaded, cursors.Mine.Stored, here, out wanted)) return false;
            map = other;
            if (!other.TryCollectPart(part, cursors.Theirs.Loaded, cursors.Theirs.Stored, there, out wanted)) return false;
        }

        AddDifferences(here, there, changed);
        return true;
    }

    // Both lists cover the same range without gaps.
    private static void AddDifferences(List<CommittedHit> here, List<CommittedHit> there, List<BlockRange> changed)
    {
        int mine = 0, theirs = 0;
        while (mine < here.Count && theirs < there.Count)
        {
            CommittedHit a = here[mine], b = there[theirs];
            if (a.Frame != b.Frame)
            {
                BlockRange both = a.Range.Intersect(b.Range);
                if (changed.Count > 0 && changed[^1].End == both.Offset)
                    changed[^1] = BlockRange.Between(changed[^1].Offset, both.End);
                else
                    changed.Add(both);
            }

            if (a.Range.End <= b.Range.End) mine++;
            if (b.Range.End <= a.Range.End) theirs++;
        }
    }
}
