namespace ZeroFlow.Nbd.Protocol;

/// <summary>What client and server have agreed on while they haggled. Immutable.</summary>
/// <param name="StructuredReplies">Every reply is structured.</param>
/// <param name="AllocationExport">
/// The export for which the client has selected <c>base:allocation</c>, or null: a selection counts only for the export
/// that it names.
/// </param>
internal sealed record SessionTerms(bool StructuredReplies = false, string? AllocationExport = null)
{
    /// <summary>Nothing agreed yet.</summary>
    public static SessionTerms Initial { get; } = new();

    /// <summary>True when the client may ask <paramref name="export"/> for its block status.</summary>
    public bool HasAllocation(string export) => AllocationExport == export;
}
