namespace ZeroFlow.Simulation.Oracle;

/// <summary>One content that a client gave to a block. Moments are places in the order of the simulation's events.</summary>
internal sealed record BlockVersion(ulong Stamp, long IssuedAt)
{
    public const long Never = long.MaxValue;

    public long AnsweredAt { get; set; } = Never;
}

/// <summary>
/// All that was ever asked of one block, oldest first. One client at a time writes a block, so the order of issue is the
/// order of the versions; version 0 is the zeros of a fresh export.
/// </summary>
internal sealed class BlockHistory
{
    private readonly List<BlockVersion> _versions = [new BlockVersion(0, 0) { AnsweredAt = 0 }];

    public IReadOnlyList<BlockVersion> Versions => _versions;

    public int Last => _versions.Count - 1;

    public int LastAnswered => _versions.FindLastIndex(version => version.AnsweredAt != BlockVersion.Never);

    /// <summary>The version that local stable storage must have, at least.</summary>
    public int FlushedFloor { get; set; }

    /// <summary>The version that the bucket must have, at least.</summary>
    public int PublishedFloor { get; set; }

    public BlockVersion Issue(ulong stamp, long now)
    {
        var version = new BlockVersion(stamp, now);
        _versions.Add(version);
        return version;
    }

    public int NumberOf(BlockVersion version) => _versions.FindIndex(other => ReferenceEquals(other, version));

    public (int First, int Last) Matching(ulong stamp) =>
        (_versions.FindIndex(version => version.Stamp == stamp), _versions.FindLastIndex(version => version.Stamp == stamp));

    /// <summary>The last version with a stamp that was issued before an event, or -1.</summary>
    public int LastBefore(ulong stamp, long end) =>
        _versions.FindLastIndex(version => version.Stamp == stamp && version.IssuedAt < end);

    public int LastIssuedBefore(long end) => _versions.FindLastIndex(version => version.IssuedAt < end);

    /// <summary>
    /// The history as a successor inherits it, which saw version <paramref name="seen"/>: what came later is gone for good,
    /// and what is there has been answered, by being seen.
    /// </summary>
    public BlockHistory Inherit(int seen, long now)
    {
        var heir = new BlockHistory
        {
            FlushedFloor = Math.Min(FlushedFloor, seen),
            PublishedFloor = Math.Min(PublishedFloor, seen),
        };
        for (int i = 1; i <= seen; i++)
        {
            BlockVersion version = _versions[i];
            heir._versions.Add(version with { AnsweredAt = Math.Min(version.AnsweredAt, now) });
        }

        return heir;
    }
}
