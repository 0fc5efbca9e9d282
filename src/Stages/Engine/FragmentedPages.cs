using System.Runtime.InteropServices;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>A page of the maps of a family.</summary>
internal readonly record struct PageOfFamily(MapFamily Family, int Page);

/// <summary>
/// The pages whose data takes many more GETs to read than it would if it lay together, as the checkpoints of this process
/// saw them. Used by the maintenance loop alone, but for <see cref="DueCount"/>.
/// </summary>
internal sealed class FragmentedPages
{
    // About 100 bytes each; 2 TiB of fragments are enough to go on with.
    private const int PagesMax = 128 * 1024;

    // A page pays from twice the GETs that it needs, and these, on: a few fragments cost a scan little.
    private const int GetsFree = 4;
    private const int GetsFactor = 2;

    private readonly Dictionary<PageOfFamily, Entry> _pages = [];
    private readonly int _runBytes;
    private (PageOfFamily Page, long Bytes)[]? _sorted;
    private int _dueCount;

    /// <param name="tableBytes">Bytes of a table: data that lies together does so within one.</param>
    public FragmentedPages(int tableBytes) => _runBytes = Math.Min(tableBytes, PageShape.ScanBytes);

    /// <summary>Pages that it pays to merge. From any thread.</summary>
    public int DueCount => Volatile.Read(ref _dueCount);

    /// <summary>A checkpoint is stored, and about to be installed: what its pages look like is known.</summary>
    public void Note(IReadOnlyList<FoldedPage> pages)
    {
        foreach (var versions in pages.GroupBy(static page => new PageOfFamily(page.Slot.Family, page.Slot.Page)))
        {
            Note(
                versions.Key, versions.Select(static page => page.Shape).MaxBy(static shape => shape.Gets),
                versions.Any(static page => page.Slot.IsFrozenWritten));
        }

        _sorted = null;
    }

    /// <summary>The pages that it pays to merge, with the bytes of each, the worst first.</summary>
    public IEnumerable<(PageOfFamily Page, long Bytes)> WorstFirst()
    {
        _sorted ??=
        [
            .. _pages.Where(static page => page.Value.IsDue)
                .OrderByDescending(static page => (double)page.Value.Shape.Gets / page.Value.Shape.Bytes)
                .Select(static page => (page.Key, page.Value.Shape.Bytes)),
        ];
        return _sorted.Where(page => _pages.TryGetValue(page.Page, out Entry entry) && entry.IsDue);
    }

    /// <summary>It is being merged. What came of that, the next checkpoint says.</summary>
    public void Take(PageOfFamily page)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_pages, page);
        if (entry.IsDue) Volatile.Write(ref _dueCount, _dueCount - 1);
        entry = entry with { IsDue = false, IsMerged = true };
    }

    /// <summary>Its export is gone.</summary>
    public void Forget(PageOfFamily page)
    {
        if (_pages.Remove(page, out Entry entry) && entry.IsDue) Volatile.Write(ref _dueCount, _dueCount - 1);
    }

    private void Note(PageOfFamily page, PageShape shape, bool isWritten)
    {
        bool isKnown = _pages.TryGetValue(page, out Entry known);
        long least = (shape.Bytes + _runBytes - 1) / _runBytes;
        long threshold = GetsFree + (GetsFactor * least);

        // What a merge could not bring below the threshold, because many snapshots have parts of it, is left alone until
        // it is twice as bad: else it would be merged for ever. Writes meanwhile tell nothing of what a merge can do.
        int floor = known.IsMerged && !isWritten ? shape.Gets : known.Floor;
        bool isDue = shape.Gets > threshold && shape.Gets > 2 * floor;
        bool isKept = (isDue || floor > threshold) && (isKnown || _pages.Count < PagesMax);
        if (isKept) _pages[page] = new Entry(shape, floor, isDue, IsMerged: false);
        else _pages.Remove(page);
        Volatile.Write(ref _dueCount, _dueCount + (isKept && isDue ? 1 : 0) - (known.IsDue ? 1 : 0));
    }

    private readonly record struct Entry(PageShape Shape, int Floor, bool IsDue, bool IsMerged);
}
