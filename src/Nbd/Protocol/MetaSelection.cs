namespace ZeroFlow.Nbd.Protocol;

/// <summary>One metadata context of a session.</summary>
/// <param name="Id">Its number in replies.</param>
/// <param name="Name">Its name in full.</param>
internal sealed record MetaContext(uint Id, string Name)
{
    /// <summary>Where an export has data, and where it has holes.</summary>
    public const string Allocation = "base:allocation";
}

/// <summary>The contexts that a client has selected for one export. Immutable.</summary>
/// <param name="Export">Name of the export.</param>
/// <param name="Contexts">Numbered from one, in this order; at most <see cref="ContextsMax"/>.</param>
internal sealed record MetaSelection(string Export, IReadOnlyList<MetaContext> Contexts)
{
    /// <summary>Most contexts of a session: each of them costs a chunk of every block status.</summary>
    public const int ContextsMax = 16;
}
