namespace ZeroFlow.Simulation.Tests.Model;

/// <summary>Every state that can be reached, breadth first: the path to an objection is a shortest one.</summary>
internal sealed record Exploration(int States, int Depth, string? Objection, IReadOnlyList<string> Path)
{
    public static Exploration Run(ChainModel model)
    {
        var first = new ChainState();
        var cameFrom = new Dictionary<string, (string? Before, string Step)> { [first.Key()] = (null, first.ToString()) };
        var frontier = new List<ChainState> { first };
        int depth = 0;
        for (; frontier.Count > 0; depth++)
        {
            var next = new List<ChainState>();
            foreach (ChainState state in frontier)
            {
                string key = state.Key();
                foreach (var (step, reached) in model.Next(state))
                {
                    string reachedKey = reached.Key();
                    if (!cameFrom.TryAdd(reachedKey, (key, step))) continue;
                    if (ChainModel.Objection(reached) is { } objection)
                        return new Exploration(cameFrom.Count, depth + 1, objection, [.. PathTo(cameFrom, reachedKey), reached.ToString()]);
                    next.Add(reached);
                }
            }

            frontier = next;
        }

        return new Exploration(cameFrom.Count, depth, null, []);
    }

    private static List<string> PathTo(Dictionary<string, (string? Before, string Step)> cameFrom, string key)
    {
        var path = new List<string>();
        for (string? at = key; at is not null; at = cameFrom[at].Before) path.Add(cameFrom[at].Step);
        path.Reverse();
        return path;
    }
}
