using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>The reusable lists of one read. Pooled by the export; not thread-safe.</summary>
internal sealed class ReadPlan
{
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

    public void Clear()
    {
        Recent.Clear();
        Committed.Clear();
        Spilled.Clear();
        Missing.Clear();
        Frames.Clear();
    }
}
