using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>The reusable lists of one read. Pooled by the export; not thread-safe.</summary>
internal sealed class ReadPlan
{
    private BufferLease?[] _leases = [];

    /// <summary>What the memtable covers.</summary>
    public List<MemtableHit> Recent { get; } = [];

    /// <summary>What the committed map says of the gaps.</summary>
    public List<CommittedHit> Committed { get; } = [];

    /// <summary>Recent pieces whose payload is only in the WAL.</summary>
    public List<MemtableHit> Spilled { get; } = [];

    /// <summary>Pieces of frames that are not in memory.</summary>
    public List<CommittedHit> Missing { get; } = [];

    /// <summary>Frames to fetch, in the order of the export.</summary>
    public List<FrameRef> Frames { get; } = [];

    /// <summary>True when the lists have grown so far that keeping them would cost more than making new ones.</summary>
    public bool IsLarge => Math.Max(Recent.Capacity, Committed.Capacity) > 4096;

    /// <summary>Places for the plain bytes of <paramref name="count"/> frames, all empty.</summary>
    public Memory<BufferLease?> LeasesFor(int count)
    {
        if (_leases.Length < count) _leases = new BufferLease?[Math.Max(count, 2 * _leases.Length)];
        Array.Clear(_leases);
        return _leases.AsMemory(0, count);
    }

    /// <summary>True when nothing was found, because a page of the map was not in memory.</summary>
    public bool IsEmpty => Recent.Count == 0 && Committed.Count == 0;

    /// <summary>Lets go of payloads that were found, and of the whole plan.</summary>
    public void ReleaseRecent()
    {
        foreach (MemtableHit hit in Recent) hit.Payload?.Release();
        Clear();
    }

    public void Clear()
    {
        Recent.Clear();
        Committed.Clear();
        Spilled.Clear();
        Missing.Clear();
        Frames.Clear();
    }
}
