using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Simulation.Oracle;

/// <summary>How much of what clients were told must still be there: docs/durability.md, "What survives what".</summary>
internal enum Promise
{
    /// <summary>The process was killed: every answered write.</summary>
    Answered,

    /// <summary>The power failed: every flushed write, and a prefix.</summary>
    Flushed,

    /// <summary>The disk is lost, or another server took over: every published FLUSH, and a prefix.</summary>
    Published,
}

/// <summary>A promise of docs/durability.md that was broken.</summary>
internal sealed class BrokenPromiseException(string message) : Exception(message);

/// <summary>What the clients of one store asked for and were told, block by block over all exports.</summary>
internal sealed class StoreOracle
{
    private readonly BlockHistory[][] _blocks;
    private readonly EventOrder _order;

    public StoreOracle(int exports, int blocks, EventOrder order)
        : this([.. Enumerable.Range(0, exports).Select(_ =>
            Enumerable.Range(0, blocks).Select(_ => new BlockHistory()).ToArray())], order)
    {
    }

    private StoreOracle(BlockHistory[][] blocks, EventOrder order) => (_blocks, _order) = (blocks, order);

    public BlockVersion Issue(int export, int block, ulong stamp) => _blocks[export][block].Issue(stamp, _order.Next());

    public void Answer(BlockVersion version) => version.AnsweredAt = _order.Next();

    /// <summary>Which version of its block this is.</summary>
    public int NumberOf(int export, int block, BlockVersion version) => _blocks[export][block].NumberOf(version);

    /// <summary>What a FLUSH of the export that is sent now must cover: the last answered version of each block.</summary>
    public int[] FlushPoint(int export) => [.. _blocks[export].Select(history => history.LastAnswered)];

    public void Flushed(int export, int[] point, DurabilityLevel level)
    {
        for (int block = 0; block < point.Length; block++) Raise(_blocks[export][block], point[block], level);
    }

    /// <summary>A forced write was answered: it is the block's last one.</summary>
    public void Forced(int export, int block, DurabilityLevel level) =>
        Raise(_blocks[export][block], _blocks[export][block].Last, level);

    /// <summary>A read of a block that nobody writes meanwhile.</summary>
    public void CheckRead(int export, int block, ulong stamp)
    {
        BlockHistory history = _blocks[export][block];
        var (first, last) = history.Matching(stamp);
        if (first < 0 || last < history.LastAnswered)
            throw Broken(export, block, $"a read returned {Describe(stamp, last)}, and version {history.LastAnswered} was answered");
    }

    /// <summary>
    /// Compares what a successor serves with the promise. Returns the successor's oracle, and the versions that it saw.
    /// </summary>
    public (StoreOracle Heir, int[][] Seen) Check(ulong[][] image, Promise promise)
    {
        int[][] seen = [.. image.Select(export => new int[export.Length])];
        long newestSeen = 0;
        for (int export = 0; export < image.Length; export++)
        {
            for (int block = 0; block < image[export].Length; block++)
            {
                BlockHistory history = _blocks[export][block];
                var (first, last) = history.Matching(image[export][block]);
                int floor = FloorOf(history, promise);
                if (first < 0 || last < floor)
                    throw Broken(export, block, $"it holds {Describe(image[export][block], last)}, and {promise} promises version {floor} of {history.Last}");
                seen[export][block] = last;
                newestSeen = Math.Max(newestSeen, history.Versions[first].IssuedAt);
            }
        }

        CheckPrefix(seen, newestSeen, promise);
        long now = _order.Next();
        BlockHistory[][] heirs =
            [.. _blocks.Select((blocks, e) => blocks.Select((history, b) => history.Inherit(seen[e][b], now)).ToArray())];
        return (new StoreOracle(heirs, _order), seen);
    }

    /// <summary>
    /// Compares snapshots of all exports, taken at once, with what had been answered when they were asked for, and with
    /// the one order of everything.
    /// </summary>
    public void CheckSnapshot(ulong[][] images, int[][] floors)
    {
        int[][] seen = [.. images.Select(export => new int[export.Length])];
        long newestSeen = 0;
        for (int export = 0; export < images.Length; export++)
        {
            for (int block = 0; block < images[export].Length; block++)
            {
                BlockHistory history = _blocks[export][block];
                var (first, last) = history.Matching(images[export][block]);
                if (first < 0 || last < floors[export][block])
                    throw Broken(export, block, $"a snapshot holds {Describe(images[export][block], last)}, and version {floors[export][block]} had been answered before it was asked for");
                seen[export][block] = last;
                newestSeen = Math.Max(newestSeen, history.Versions[first].IssuedAt);
            }
        }

        CheckPrefix(seen, newestSeen, Promise.Answered);
    }

    /// <summary>The version of each block that the bucket must have by now.</summary>
    public int[][] PublishedFloors() => [.. _blocks.Select(blocks => blocks.Select(history => history.PublishedFloor).ToArray())];

    /// <summary>
    /// Compares what the store was at some moment with what had been published before it, with the event
    /// <paramref name="end"/> behind which everything is later, and with the one order of everything.
    /// </summary>
    public void CheckPast(ulong[][] images, int[][] published, long end)
    {
        int[][] seen = [.. images.Select(export => new int[export.Length])];
        long newestSeen = 0;
        for (int export = 0; export < images.Length; export++)
        {
            for (int block = 0; block < images[export].Length; block++)
            {
                BlockHistory history = _blocks[export][block];
                ulong stamp = images[export][block];
                var (first, _) = history.Matching(stamp);
                int last = history.LastBefore(stamp, end);
                if (last < 0 || last < published[export][block])
                    throw Broken(export, block, $"it held {Describe(stamp, first)}; version {published[export][block]} had been published, and {history.LastIssuedBefore(end)} had been written");
                seen[export][block] = last;
                newestSeen = Math.Max(newestSeen, history.Versions[first].IssuedAt);
            }
        }

        CheckPrefix(seen, newestSeen, Promise.Published);
    }

    // One order over all exports: what was answered before the newest surviving write was asked for comes before it.
    private void CheckPrefix(int[][] seen, long newestSeen, Promise promise)
    {
        for (int export = 0; export < seen.Length; export++)
        {
            for (int block = 0; block < seen[export].Length; block++)
            {
                BlockHistory history = _blocks[export][block];
                for (int later = seen[export][block] + 1; later <= history.Last; later++)
                {
                    if (history.Versions[later].AnsweredAt < newestSeen)
                        throw Broken(export, block, $"it lacks version {later}, which was answered before a write that is there was sent ({promise})");
                }
            }
        }
    }

    private static int FloorOf(BlockHistory history, Promise promise) => promise switch
    {
        Promise.Answered => history.LastAnswered,
        Promise.Flushed => Math.Max(history.FlushedFloor, history.PublishedFloor),
        _ => history.PublishedFloor,
    };

    private static void Raise(BlockHistory history, int version, DurabilityLevel level)
    {
        history.FlushedFloor = Math.Max(history.FlushedFloor, version);
        if (level == DurabilityLevel.Published) history.PublishedFloor = Math.Max(history.PublishedFloor, version);
    }

    private static string Describe(ulong stamp, int version) =>
        version < 0 ? $"the stamp {stamp:x}, which nobody wrote there" : $"version {version}";

    private static BrokenPromiseException Broken(int export, int block, string what) =>
        new($"Export {export}, block {block}: {what}.");
}

/// <summary>Numbers the events of a run.</summary>
internal sealed class EventOrder
{
    private long _last;

    public long Next() => ++_last;
}
