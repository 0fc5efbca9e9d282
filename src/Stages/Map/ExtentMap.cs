using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Map;

/// <summary>A value that lies along a range and can lose its front.</summary>
internal interface IExtentValue<T>
{
    /// <summary>The value for the range that begins <paramref name="bytes"/> further on.</summary>
    T Skip(long bytes);
}

/// <summary>A range and what lies there.</summary>
internal readonly record struct Extent<T>(BlockRange Range, T Value);

/// <summary>
/// Sorted ranges that do not overlap; a newer one replaces what it covers, splitting older ones at its ends. Not
/// thread-safe: the owner holds a lock.
/// </summary>
/// <remarks>
/// Two levels of sorted arrays: leaves of at most <see cref="LeafMax"/> extents, and the list of leaves. Look-up is two
/// binary searches over contiguous memory, insertion moves at most one leaf, and there is one object for a hundred
/// extents instead of one for each.
/// </remarks>
internal sealed class ExtentMap<T>
    where T : struct, IExtentValue<T>
{
    private const int LeafMax = 128;

    // Leaves grow by little: with millions of extents the empty places would cost more than the copying.
    private const int LeafGrowth = 16;

    private readonly List<Leaf> _leaves = [new Leaf()];

    /// <summary>Extents in the map.</summary>
    public int Count { get; private set; }

    /// <summary>Puts <paramref name="value"/> over <paramref name="range"/>; what it replaces goes to <paramref name="removed"/>.</summary>
    public void Set(BlockRange range, in T value, List<Extent<T>>? removed = null)
    {
        Clear(range, removed);
        Insert(range.Offset, range.Length, value);
    }

    /// <summary>Removes whatever lies in <paramref name="range"/>, keeping what sticks out on either side.</summary>
    public void Clear(BlockRange range, List<Extent<T>>? removed = null)
    {
        if (range.IsEmpty) return;
        var (leafIndex, position) = FirstEndingAfter(range.Offset);
        while (leafIndex < _leaves.Count)
        {
            Leaf leaf = _leaves[leafIndex];
            if (position >= leaf.Count)
            {
                leafIndex++;
                position = 0;
                continue;
            }

            ref Slot slot = ref leaf.Slots[position];
            if (slot.Start >= range.End) return;
            if (!ClearSlot(ref slot, range, removed, out Slot? tail))
            {
                position++;
                if (tail is { } rest)
                {
                    Insert(rest.Start, rest.Length, rest.Value);
                    return;
                }

                continue;
            }

            // The slot lies in the range entirely, and so may its neighbours: remove the run of them at once.
            int run = position + 1;
            while (run < leaf.Count && leaf.Slots[run].Start + leaf.Slots[run].Length <= range.End)
            {
                removed?.Add(leaf.Slots[run].ToExtent());
                run++;
            }

            leaf.RemoveRange(position, run - position);
            Count -= run - position;
            if (leaf.Count == 0 && _leaves.Count > 1)
            {
                _leaves.RemoveAt(leafIndex);
                position = 0;
            }
        }
    }

    /// <summary>Appends the parts of extents that lie in <paramref name="range"/> to <paramref name="found"/>, in order.</summary>
    public void Collect(BlockRange range, List<Extent<T>> found)
    {
        if (range.IsEmpty) return;
        var (leafIndex, position) = FirstEndingAfter(range.Offset);
        for (; leafIndex < _leaves.Count; leafIndex++, position = 0)
        {
            Leaf leaf = _leaves[leafIndex];
            for (; position < leaf.Count; position++)
            {
                ref Slot slot = ref leaf.Slots[position];
                if (slot.Start >= range.End) return;
                long start = Math.Max(slot.Start, range.Offset);
                long end = Math.Min(slot.Start + slot.Length, range.End);
                T value = start == slot.Start ? slot.Value : slot.Value.Skip(start - slot.Start);
                found.Add(new Extent<T>(BlockRange.Between(start, end), value));
            }
        }
    }

    /// <summary>A map with the same extents.</summary>
    public ExtentMap<T> Copy()
    {
        var copy = new ExtentMap<T> { Count = Count };
        copy._leaves.Clear();
        copy._leaves.AddRange(_leaves.Select(static leaf => leaf.Copy()));
        return copy;
    }

    /// <summary>All extents in order.</summary>
    public IEnumerable<Extent<T>> All()
    {
        foreach (Leaf leaf in _leaves)
        {
            for (int i = 0; i < leaf.Count; i++) yield return leaf.Slots[i].ToExtent();
        }
    }

    // Cuts the part in the range out of one slot. True when nothing of the slot stays.
    private static bool ClearSlot(ref Slot slot, BlockRange range, List<Extent<T>>? removed, out Slot? tail)
    {
        tail = null;
        long start = slot.Start, end = slot.Start + slot.Length;
        long cutStart = Math.Max(start, range.Offset), cutEnd = Math.Min(end, range.End);
        T cutValue = cutStart == start ? slot.Value : slot.Value.Skip(cutStart - start);
        removed?.Add(new Extent<T>(BlockRange.Between(cutStart, cutEnd), cutValue));
        if (cutStart > start)
        {
            if (cutEnd < end) tail = new Slot { Start = cutEnd, Length = end - cutEnd, Value = slot.Value.Skip(cutEnd - start) };
            slot.Length = cutStart - start;
            return false;
        }

        if (cutEnd == end) return true;
        slot.Value = slot.Value.Skip(cutEnd - start);
        slot.Start = cutEnd;
        slot.Length = end - cutEnd;
        return false;
    }

    private void Insert(long start, long length, in T value)
    {
        int leafIndex = LeafFor(start);
        Leaf leaf = _leaves[leafIndex];
        int position = leaf.FirstEndingAfter(start);
        if (leaf.Count == LeafMax)
        {
            Leaf upper = leaf.SplitUpperHalf();
            _leaves.Insert(leafIndex + 1, upper);
            if (position > leaf.Count)
            {
                position -= leaf.Count;
                leaf = upper;
            }
        }

        leaf.Insert(position, new Slot { Start = start, Length = length, Value = value });
        Count++;
    }

    private (int Leaf, int Position) FirstEndingAfter(long offset)
    {
        int leafIndex = LeafFor(offset);
        return (leafIndex, _leaves[leafIndex].FirstEndingAfter(offset));
    }

    // The last leaf that begins at or before the offset, or the first one.
    private int LeafFor(long offset)
    {
        int low = 0, high = _leaves.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (_leaves[middle].Slots[0].Start <= offset) low = middle;
            else high = middle - 1;
        }

        return low;
    }

    private struct Slot
    {
        public long Start;
        public long Length;
        public T Value;

        public readonly Extent<T> ToExtent() => new(new BlockRange(Start, Length), Value);
    }

    private sealed class Leaf
    {
        public Slot[] Slots { get; private set; } = new Slot[8];

        public int Count { get; private set; }

        public int FirstEndingAfter(long offset)
        {
            int low = 0, high = Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (Slots[middle].Start + Slots[middle].Length > offset) high = middle;
                else low = middle + 1;
            }

            return low;
        }

        public void Insert(int position, in Slot slot)
        {
            if (Count == Slots.Length)
            {
                Slot[] larger = new Slot[Math.Min(LeafMax, Slots.Length + LeafGrowth)];
                Array.Copy(Slots, larger, Count);
                Slots = larger;
            }

            Array.Copy(Slots, position, Slots, position + 1, Count - position);
            Slots[position] = slot;
            Count++;
        }

        public void RemoveRange(int position, int count)
        {
            Array.Copy(Slots, position + count, Slots, position, Count - position - count);
            Array.Clear(Slots, Count - count, count);
            Count -= count;
        }

        public Leaf Copy() => new() { Slots = Slots[..Count], Count = Count };

        public Leaf SplitUpperHalf()
        {
            int half = Count / 2;
            Slot[] all = Slots;
            var upper = new Leaf { Slots = new Slot[Count - half + LeafGrowth], Count = Count - half };
            Array.Copy(all, half, upper.Slots, 0, upper.Count);
            Slots = new Slot[half + LeafGrowth];
            Array.Copy(all, Slots, half);
            Count = half;
            return upper;
        }
    }
}
