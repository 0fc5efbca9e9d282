using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>One metadata context of a session.</summary>
/// <param name="Id">Its number in replies.</param>
/// <param name="Name">Its name in full.</param>
/// <param name="Changes">What it tells of; null for <see cref="Allocation"/>.</param>
internal sealed record MetaContext(uint Id, string Name, IChangedRanges? Changes = null)
{
    /// <summary>Where an export has data, and where it has holes.</summary>
    public const string Allocation = "base:allocation";

    private const string ChangedPrefix = "zeroflow:changed:";

    /// <summary>The context that tells where an export differs from one of its snapshots.</summary>
    public static string ChangedSince(string snapshot) => ChangedPrefix + snapshot;

    /// <summary>The snapshot in the name of such a context.</summary>
    public static string SnapshotOf(string context) => context[ChangedPrefix.Length..];
}

/// <summary>The contexts that a client has selected for one export. Owns what they tell of.</summary>
/// <param name="Export">Name of the export.</param>
/// <param name="Contexts">Numbered from one, in this order; at most <see cref="ContextsMax"/>.</param>
internal sealed record MetaSelection(string Export, IReadOnlyList<MetaContext> Contexts) : IDisposable
{
    /// <summary>Most contexts of a session: each of them costs a chunk of every block status.</summary>
    public const int ContextsMax = 16;

    /// <summary>Selects contexts by their names. A snapshot that is gone meanwhile is left out.</summary>
    public static MetaSelection Of(ExportInfo export, IEnumerable<string> names, IExportDirectory exports)
    {
        List<MetaContext> contexts = [];
        foreach (string name in names)
        {
            uint id = (uint)contexts.Count + 1;
            if (name == MetaContext.Allocation)
                contexts.Add(new MetaContext(id, name));
            else if (exports.TryCompare(export, MetaContext.SnapshotOf(name), out IChangedRanges? changes))
                contexts.Add(new MetaContext(id, name, changes));
        }

        return new MetaSelection(export.Name, contexts);
    }

    public void Dispose()
    {
        foreach (MetaContext context in Contexts) context.Changes?.Dispose();
    }
}
