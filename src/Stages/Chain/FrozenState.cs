using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Chain;

/// <summary>An export as of a frozen state: what has changed in its map since the last one.</summary>
internal sealed record FrozenExport(ExportInfo Info, CommittedMap Map, IReadOnlyList<MapSlot> Changed);

/// <summary>
/// The committed state as of one table, held still for a checkpoint while commits go on above it.
/// </summary>
/// <param name="Position">The last table of the state.</param>
/// <param name="Session">The writer of its epoch.</param>
/// <param name="LastSequence">The last sequence of the state.</param>
/// <param name="LastOrdinal">Tables with higher ordinals are not part of it.</param>
/// <param name="Exports">The exports, in the order of their ids.</param>
internal sealed record FrozenState(
    ChainPosition Position, Guid Session, Sequence LastSequence, int LastOrdinal, IReadOnlyList<FrozenExport> Exports);
