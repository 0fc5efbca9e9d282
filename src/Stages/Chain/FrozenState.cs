using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Chain;

/// <summary>An export or snapshot as of a frozen state, and the slots of its map.</summary>
internal sealed record FrozenExport(ExportInfo Info, CommittedMap Map, MapDirectory View);

/// <summary>
/// The committed state as of one table, held still for a checkpoint while commits go on above it.
/// </summary>
/// <param name="Position">The last table of the state.</param>
/// <param name="Session">The writer of its epoch.</param>
/// <param name="LastSequence">The last sequence of the state.</param>
/// <param name="LastOrdinal">Tables with higher ordinals are not part of it.</param>
/// <param name="LastExportId">The highest identity that any export ever had.</param>
/// <param name="Exports">The exports and snapshots.</param>
/// <param name="Due">The pages to store, sorted by family and offset: changed ones, and those that leave sparse objects.</param>
/// <param name="Replaced">The stored pages that nobody has once those are stored.</param>
/// <param name="Released">The stored pages that nobody has already.</param>
internal sealed record FrozenState(
    ChainPosition Position,
    Guid Session,
    Sequence LastSequence,
    int LastOrdinal,
    ExportId LastExportId,
    IReadOnlyList<FrozenExport> Exports,
    IReadOnlyList<SlotBase> Due,
    IReadOnlySet<StoredPage> Replaced,
    IReadOnlyList<StoredPage> Released)
{
    /// <summary>Lets go of the views.</summary>
    public void Drop()
    {
        foreach (FrozenExport export in Exports) export.Map.DropView(export.View);
    }
}
