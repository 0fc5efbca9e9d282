namespace ZeroFlow.Stages.Engine;

/// <summary>What became of one of the two places of a checkpoint.</summary>
public enum CheckpointHealth
{
    /// <summary>It is there, and authentic.</summary>
    Good,

    /// <summary>It is not there.</summary>
    Missing,

    /// <summary>What is there does not open.</summary>
    Damaged,
}

/// <summary>A checkpoint and its second copy.</summary>
/// <param name="Position">The last table that it covers, as epoch/number.</param>
/// <param name="Original">The object at its own key.</param>
/// <param name="Copy">The second copy.</param>
public sealed record RebuildCheckpoint(string Position, CheckpointHealth Original, CheckpointHealth Copy);

/// <summary>How a rebuild ended.</summary>
public enum RebuildOutcome
{
    /// <summary>The store opens as it is; nothing is to be done.</summary>
    Whole,

    /// <summary>The committed state can be restored exactly, by <see cref="RebuildReport.Steps"/>, which were not done.</summary>
    Restorable,

    /// <summary>The steps were done: the store opens with the committed state.</summary>
    Restored,

    /// <summary>The committed state cannot be restored exactly, and nothing was changed.</summary>
    Lost,
}

/// <summary>An export or snapshot as a rebuild found it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="SizeBytes">Its size.</param>
public sealed record RebuiltExport(string Name, long SizeBytes);

/// <summary>One change of the bucket.</summary>
/// <param name="Action">Create, replace or delete.</param>
/// <param name="ObjectKey">Of which object.</param>
public sealed record RebuildStep(string Action, string ObjectKey);

/// <summary>What a rebuild found, and did or would do.</summary>
/// <param name="Outcome">The end of it.</param>
/// <param name="Checkpoints">The checkpoints that have left anything, newest first.</param>
/// <param name="BuiltFrom">The checkpoint that the state is built from; null when it is built from tables alone.</param>
/// <param name="TablesBehind">Tables that were read behind that checkpoint.</param>
/// <param name="End">The end of the chain; null when it was not found.</param>
/// <param name="Exports">The exports and snapshots at the end of the chain.</param>
/// <param name="Steps">The changes that were made, or would be.</param>
/// <param name="Problems">Why newer or all checkpoints could not be used.</param>
public sealed record RebuildReport(
    RebuildOutcome Outcome, IReadOnlyList<RebuildCheckpoint> Checkpoints, string? BuiltFrom, int TablesBehind, string? End,
    IReadOnlyList<RebuiltExport> Exports, IReadOnlyList<RebuildStep> Steps, IReadOnlyList<string> Problems);
