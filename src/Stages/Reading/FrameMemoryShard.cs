using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Reading;

/// <summary>One shard of <see cref="FrameMemoryCache"/>: two queues and the names that lately left the first.</summary>
internal sealed class FrameMemoryShard
{
    // 2Q's authors found a quarter for the first queue good over a wide range of loads.
    private const int RecentShare = 4;

    private readonly Lock _lock = new();
    private readonly Dictionary<FrameKey, int> _slots = [];
    private readonly FrameNameMemory _departed;
    private readonly long _budgetBytes;
    private readonly long _recentBytesMax;
    private Entry[] _entries = new Entry[64];
    private EntryList _recent = EntryList.Empty;
    private EntryList _lasting = EntryList.Empty;
    private int _freeSlot = -1;
    private int _usedSlots;
    private long _bytes;
    private long _recentBytes;
    private long _admittedBytes;
    private long _hits;
    private long _misses;
    private long _evictions;

    public FrameMemoryShard(long budgetBytes)
    {
        _budgetBytes = budgetBytes;
        _recentBytesMax = budgetBytes / RecentShare;
        // One name for each 4 KiB of budget, at most: as many as the smallest frames that the shard could hold.
        _departed = new FrameNameMemory((int)Math.Clamp(budgetBytes / 4096, 16, 1 << 16));
    }

    public long Bytes => Volatile.Read(ref _bytes);

    public long Hits => Volatile.Read(ref _hits);

    public long Misses => Volatile.Read(ref _misses);

    public long Evictions => Volatile.Read(ref _evictions);

    public long Count
    {
        get
        {
            lock (_lock) return _slots.Count;
        }
    }

    public bool TryGet(FrameKey key, bool count, [NotNullWhen(true)] out BufferLease? lease)
    {
        lock (_lock)
        {
            if (!_slots.TryGetValue(key, out int slot))
            {
                if (count) _misses++;
                lease = null;
                return false;
            }

            ref Entry entry = ref _entries[slot];
            lease = entry.Lease!;
            lease.AddReference();
            if (count) _hits++;
            if (entry.IsLasting) MoveToFront(ref _lasting, slot);
            else if (_admittedBytes - entry.AdmittedAt >= _recentBytesMax / 2) entry.WantedAgain = true;
            return true;
        }
    }

    public bool Contains(FrameKey key)
    {
        lock (_lock) return _slots.ContainsKey(key);
    }

    public void Add(FrameKey key, BufferLease lease)
    {
        int cost = CostOf(lease);
        if (cost > _budgetBytes) return;
        lock (_lock)
        {
            if (_slots.ContainsKey(key)) return;
            // Room is made first, so that not even for a moment more is held than the bound.
            while (_bytes + cost > _budgetBytes) EvictOne();
            lease.AddReference();
            int slot = TakeSlot();
            _slots.Add(key, slot);
            _admittedBytes += cost;
            _entries[slot] = new Entry
            {
                Key = key,
                Lease = lease,
                AdmittedAt = _admittedBytes,
                IsLasting = _departed.Forget(key),
            };
            _bytes += cost;
            Attach(slot);
        }
    }

    public void Remove(FrameKey key)
    {
        lock (_lock)
        {
            if (_slots.TryGetValue(key, out int slot)) Drop(slot);
        }
    }

    public void RemoveTable(int table)
    {
        lock (_lock)
        {
            for (int slot = 0; slot < _usedSlots; slot++)
            {
                if (_entries[slot].Lease is not null && _entries[slot].Key.Table == table) Drop(slot);
            }
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            for (int slot = 0; slot < _usedSlots; slot++)
            {
                if (_entries[slot].Lease is not null) Drop(slot);
            }
        }
    }

    private static int CostOf(BufferLease lease) => lease.Capacity + FrameMemoryCache.EntryOverheadBytes;

    private void EvictOne()
    {
        bool fromRecent = _recent.Last >= 0 && (_recentBytes > _recentBytesMax || _lasting.Last < 0);
        int slot = fromRecent ? _recent.Last : _lasting.Last;
        if (fromRecent && _entries[slot].WantedAgain)
        {
            // Frees nothing by itself: the caller's loop goes on until something does. Each entry is promoted once.
            Detach(slot);
            _entries[slot].IsLasting = true;
            _entries[slot].WantedAgain = false;
            Attach(slot);
            return;
        }

        if (fromRecent) _departed.Remember(_entries[slot].Key);
        _evictions++;
        Drop(slot);
    }

    private void Drop(int slot)
    {
        Detach(slot);
        ref Entry entry = ref _entries[slot];
        BufferLease lease = entry.Lease!;
        _slots.Remove(entry.Key);
        _bytes -= CostOf(lease);
        entry = default;
        entry.Next = _freeSlot;
        _freeSlot = slot;
        lease.Release();
    }

    private int TakeSlot()
    {
        if (_freeSlot >= 0)
        {
            int slot = _freeSlot;
            _freeSlot = _entries[slot].Next;
            return slot;
        }

        if (_usedSlots == _entries.Length) Array.Resize(ref _entries, 2 * _entries.Length);
        return _usedSlots++;
    }

    private void Attach(int slot)
    {
        ref Entry entry = ref _entries[slot];
        if (!entry.IsLasting) _recentBytes += CostOf(entry.Lease!);
        PushFront(ref entry.IsLasting ? ref _lasting : ref _recent, slot);
    }

    private void Detach(int slot)
    {
        ref Entry entry = ref _entries[slot];
        if (!entry.IsLasting) _recentBytes -= CostOf(entry.Lease!);
        Unlink(ref entry.IsLasting ? ref _lasting : ref _recent, slot);
    }

    private void MoveToFront(ref EntryList list, int slot)
    {
        if (list.First == slot) return;
        Unlink(ref list, slot);
        PushFront(ref list, slot);
    }

    private void PushFront(ref EntryList list, int slot)
    {
        _entries[slot].Previous = -1;
        _entries[slot].Next = list.First;
        if (list.First >= 0) _entries[list.First].Previous = slot;
        else list.Last = slot;
        list.First = slot;
    }

    private void Unlink(ref EntryList list, int slot)
    {
        (int previous, int next) = (_entries[slot].Previous, _entries[slot].Next);
        if (previous >= 0) _entries[previous].Next = next;
        else list.First = next;
        if (next >= 0) _entries[next].Previous = previous;
        else list.Last = previous;
    }

    private struct Entry
    {
        public FrameKey Key;
        public BufferLease? Lease;
        public long AdmittedAt;
        public int Previous;
        public int Next;
        public bool IsLasting;
        public bool WantedAgain;
    }

    private struct EntryList
    {
        public static readonly EntryList Empty = new() { First = -1, Last = -1 };

        public int First;
        public int Last;
    }
}
