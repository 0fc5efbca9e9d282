namespace ZeroFlow.Pipeline.Flow;

/// <summary>The explicit bounds of one Dataflow stage. There are no defaults: each is derived where the graph is built.</summary>
/// <param name="Name">The stage's name in the design.</param>
/// <param name="Capacity">Most messages in the stage at once: queued, in work, and finished but not yet taken.</param>
/// <param name="Parallelism">Messages worked on at once.</param>
/// <param name="Ordered">Whether results leave in the order in which messages entered.</param>
/// <param name="Yields">Whether its work leaves the cores to requests (<see cref="YieldingScheduler"/>); it must not wait.</param>
public sealed record StageOptions(string Name, int Capacity, int Parallelism, bool Ordered, bool Yields);
