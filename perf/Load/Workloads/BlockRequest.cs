using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// One request of a lane. Requests between <paramref name="Begins"/> and <paramref name="Ends"/> form a transaction:
/// the later ones follow at once on the reply of the one before, also in open loop.
/// </summary>
internal readonly record struct BlockRequest(
    NbdCommand Command, long Offset, int Length, bool Begins = true, bool Ends = true,
    NbdRequestFlags Flags = NbdRequestFlags.None);

/// <summary>What latencies are kept apart. <see cref="Commit"/> is a whole transaction of several requests.</summary>
internal enum OperationKind
{
    Read,
    Write,
    Flush,
    Commit,
    Trim,
    Zeroes,
}
