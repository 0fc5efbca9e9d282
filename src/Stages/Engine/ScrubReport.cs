namespace ZeroFlow.Stages.Engine;

/// <summary>What to scrub.</summary>
public sealed record ScrubOptions
{
    /// <summary>Share of the tables whose every frame is read, from 0 to 1; the map is always checked whole.</summary>
    public double Share { get; init; } = 1;

    /// <summary>Writes anew what is damaged in the bucket and still good in a local cache, and corrects counts.</summary>
    public bool Repairs { get; init; }
}

/// <summary>How far a scrub has come.</summary>
/// <param name="DoneBytes">Bytes of objects that were read.</param>
/// <param name="TotalBytes">Bytes of objects that are to be read.</param>
public sealed record ScrubProgress(long DoneBytes, long TotalBytes);

/// <summary>What a finding is about.</summary>
public enum ScrubProblem
{
    /// <summary>An object that the store needs is not in the bucket.</summary>
    Missing,

    /// <summary>An object is shorter or longer than it was, or its parts do not open.</summary>
    Damaged,

    /// <summary>A live-byte count is not what a recount gives.</summary>
    WrongCount,

    /// <summary>The chain or a checkpoint cannot be read back: the next start would fail.</summary>
    BrokenChain,
}

/// <summary>A range of an export or snapshot that cannot be read from the bucket.</summary>
/// <param name="Export">Its name.</param>
/// <param name="Offset">First byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="IsRepaired">True when it was written anew from a cache.</param>
public sealed record DamagedRange(string Export, long Offset, long Length, bool IsRepaired);

/// <summary>One thing that is wrong.</summary>
/// <param name="Problem">What.</param>
/// <param name="ObjectKey">The object's key.</param>
/// <param name="Detail">A sentence.</param>
/// <param name="Ranges">What cannot be read because of it.</param>
public sealed record ScrubFinding(ScrubProblem Problem, string ObjectKey, string Detail, IReadOnlyList<DamagedRange> Ranges);

/// <summary>What a scrub did and found.</summary>
/// <param name="Tables">Tables whose every frame was read.</param>
/// <param name="Frames">Frames that were opened.</param>
/// <param name="Pages">Pages of the map that were opened.</param>
/// <param name="Bytes">Bytes that were read.</param>
/// <param name="CountsChecked">False when a checkpoint was under way, or pages went, so that counts could not be compared.</param>
/// <param name="Findings">What is wrong; empty for a healthy store.</param>
public sealed record ScrubReport(
    int Tables, long Frames, int Pages, long Bytes, bool CountsChecked, IReadOnlyList<ScrubFinding> Findings);
