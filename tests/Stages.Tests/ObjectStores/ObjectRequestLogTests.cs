using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tests.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class ObjectRequestLogTests
{
    private readonly ObjectRequestLog _log = new();
    private readonly SimulatedObjectStore _objects = new(TimeProvider.System);

    [Fact]
    public async Task Each_attempt_is_told_with_its_number_its_outcome_and_what_it_was_for()
    {
        RetryingObjectStore store = NewStore().With(RetryPolicy.ForUploads, ObjectPurpose.Drain);
        using ObjectRequestLog.Watcher watcher = _log.Watch(static _ => true)!;
        _objects.FailNext(new StoreFault(ObjectStoreErrorKind.Throttled));
        Assert.True(await store.TryCreateAsync("a", new byte[10], Token));
        Assert.False(await store.TryCreateAsync("a", new byte[10], Token));
        Assert.Null(await store.TryReadAsync("b", 10, Token));
        await store.For(ObjectPurpose.Read).ReadRangeAsync("a", 2, new byte[5], Token);
        await store.For(ObjectPurpose.Collect).DeleteAsync("a", Token);

        ObjectRequest[] told = Drain(watcher);

        Assert.Equal(
            ["Create a 1 throttled", "Create a 2 ok", "Create a 1 exists", "Get b 1 missing", "Range a 1 ok", "Delete a 1 ok"],
            told.Select(r => $"{r.Kind} {r.Key} {r.Attempt} {r.Outcome}"));
        Assert.NotNull(told[0].Error);
        Assert.All(told[1..], request => Assert.Null(request.Error));
        Assert.Equal([10, 10, 10, 0, 5, 0], told.Select(request => request.Bytes));
        Assert.Equal(2, told[4].Offset);
        Assert.Equal([ObjectPurpose.Drain, ObjectPurpose.Read, ObjectPurpose.Collect], told.Select(request => request.Purpose).Distinct());
    }

    [Fact]
    public async Task A_listing_is_told_once_for_each_page_that_it_asks_for()
    {
        for (int i = 0; i < 2500; i++) _objects.Plant($"x/{i:D5}", [1]);
        RetryingObjectStore store = NewStore();
        using ObjectRequestLog.Watcher watcher = _log.Watch(static _ => true)!;
        int count = 0;
        await foreach (ObjectEntry entry in store.ListAsync("x/", null, Token)) count += entry.Key.Length > 0 ? 1 : 0;
        Assert.Equal(2500, count);
        Assert.Equal(3, Drain(watcher).Count(request => request is { Kind: ObjectRequestKind.List, Key: "x/", Outcome: "ok" }));
    }

    [Fact]
    public async Task Who_does_not_read_in_time_loses_the_oldest_and_is_told_how_many()
    {
        RetryingObjectStore store = NewStore();
        using ObjectRequestLog.Watcher slow = _log.Watch(static _ => true)!;
        using ObjectRequestLog.Watcher other = _log.Watch(static request => request.Kind == ObjectRequestKind.Delete)!;
        for (int i = 0; i < ObjectRequestLog.EntriesMax + 7; i++) _ = await store.TryReadAsync($"k{i}", 10, Token);
        Assert.Equal(7, slow.TakeLost());
        Assert.Equal(0, slow.TakeLost());
        Assert.Equal("k7", Drain(slow)[0].Key);
        Assert.Equal(0, other.TakeLost());
        Assert.Empty(Drain(other));
    }

    [Fact]
    public async Task Nothing_is_kept_while_nobody_watches_and_watchers_are_few()
    {
        RetryingObjectStore store = NewStore();
        await store.WriteAsync("a", new byte[1], Token);
        ObjectRequestLog.Watcher[] watchers = [.. Enumerable.Range(0, ObjectRequestLog.WatchersMax).Select(_ => _log.Watch(static _ => true)!)];
        Assert.Null(_log.Watch(static _ => true));
        Assert.All(watchers, watcher => Assert.Empty(Drain(watcher)));
        foreach (ObjectRequestLog.Watcher watcher in watchers) watcher.Dispose();
        Assert.False(_log.IsWatched);
        Assert.False(await watchers[0].Entries.WaitToReadAsync(Token));
    }

    // Open, drain, checkpoint, collect and settle, by a store that does all of it.
    [Fact]
    public async Task Every_part_of_the_engine_says_what_its_requests_are_for()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore running = await bench.OpenAsync();
        using ObjectRequestLog.Watcher watcher = running.Store.Requests.Watch(static _ => true)!;
        TestDisk disk = await running.AttachAsync("disk");
        var random = new Random(3);
        var seen = new HashSet<(ObjectPurpose, ObjectRequestKind)>();
        await StoreBench.UntilAsync(async () =>
        {
            byte[] bytes = new byte[32 * 1024];
            random.NextBytes(bytes);
            for (int i = 0; i < 8; i++) await disk.WriteAsync(random.Next(120) * bytes.Length, bytes);
            await disk.CheckAsync(random.Next(100) * bytes.Length, bytes.Length);
            seen.UnionWith(Drain(watcher).Select(request => (request.Purpose, request.Kind)));
            return seen.Contains((ObjectPurpose.Settle, ObjectRequestKind.Create)) && seen.Contains((ObjectPurpose.Collect, ObjectRequestKind.Delete))
                && seen.Contains((ObjectPurpose.Read, ObjectRequestKind.Range));
        });
        _ = await running.Store.ScrubAsync(new ZeroFlow.Stages.Engine.ScrubOptions(), static _ => { }, Token);
        seen.UnionWith(Drain(watcher).Select(request => (request.Purpose, request.Kind)));
        Assert.Contains((ObjectPurpose.Drain, ObjectRequestKind.Create), seen);
        Assert.Contains((ObjectPurpose.Checkpoint, ObjectRequestKind.Create), seen);
        Assert.Contains(seen, one => one.Item1 == ObjectPurpose.Scrub);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static ObjectRequest[] Drain(ObjectRequestLog.Watcher watcher)
    {
        var entries = new List<ObjectRequest>();
        while (watcher.Entries.TryRead(out ObjectRequest? entry)) entries.Add(entry);
        return [.. entries];
    }

    private RetryingObjectStore NewStore() => new(
        _objects, RetryPolicy.ForUploads with { FirstThrottledDelay = TimeSpan.FromMilliseconds(1) },
        new StoreHealth(TimeProvider.System, NullLoggerFactory.Instance), TimeProvider.System, new Random(1), _log);
}
