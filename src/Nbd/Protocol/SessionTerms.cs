namespace ZeroFlow.Nbd.Protocol;

/// <summary>The form of replies, and with it that of requests.</summary>
internal enum ReplyForm
{
    /// <summary>One header, and the bytes of a READ that succeeded.</summary>
    Simple,

    /// <summary>Chunks, with compact headers.</summary>
    Structured,

    /// <summary>Chunks, with headers of 32 bytes in both directions and lengths of 64 bits.</summary>
    Extended,
}

/// <summary>What client and server have agreed on while they haggled. Immutable.</summary>
/// <param name="Replies">The form of every reply.</param>
/// <param name="Selection">The metadata contexts that the client has selected last, or null.</param>
internal sealed record SessionTerms(ReplyForm Replies = ReplyForm.Simple, MetaSelection? Selection = null)
{
    /// <summary>Nothing agreed yet.</summary>
    public static SessionTerms Initial { get; } = new();

    /// <summary>Replies come in chunks.</summary>
    public bool HasChunks => Replies != ReplyForm.Simple;

    /// <summary>Headers are the extended ones.</summary>
    public bool IsExtended => Replies == ReplyForm.Extended;

    /// <summary>
    /// The contexts that the client may ask <paramref name="export"/> about: a selection counts only for the export that it
    /// names.
    /// </summary>
    public IReadOnlyList<MetaContext> ContextsOf(string export) =>
        Selection is { } selection && selection.Export == export ? selection.Contexts : [];
}
