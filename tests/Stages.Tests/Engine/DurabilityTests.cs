using System.Buffers.Binary;
using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class DurabilityTests
{
    private const int Sector = 512;
    private const int Slots = 64;

    // Each write stamps its number into a sector of one of three exports. Whatever prefix of the one order the bucket
    // holds, all three exports must show that same prefix.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Without_the_WAL_all_exports_stand_at_one_point_of_the_one_order(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { TableBytes = 16 * 1024, PublishInterval = TimeSpan.FromSeconds(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk[] disks = await AttachThreeAsync(store);
        ulong created = store.Store.Status.LastTable;
        bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(20) };
        var random = new Random(seed);
        var history = new List<(int Disk, int Slot)>();
        for (int number = 1; number <= 600; number++)
        {
            // What comes behind an outage is never published: the prefix is a true one.
            if (number == 500)
            {
                await WaitUntilPublishedAsync(store, beyond: created);
                bench.Objects.Outage = ObjectStoreErrorKind.Transient;
            }

            (int disk, int slot) = (random.Next(3), random.Next(Slots));
            byte[] sector = new byte[Sector];
            BinaryPrimitives.WriteInt32LittleEndian(sector, number);
            await disks[disk].WriteAsync(slot * Sector, sector);
            history.Add((disk, slot));
        }

        await bench.CrashAsync(store, loseWal: true);
        bench.Objects.Outage = null;
        bench.Objects.Faults = StoreFaults.None;
        RunningStore again = await bench.OpenAsync();
        int[,] seen = await ReadStampsAsync(again, disks);
        int published = seen.Cast<int>().Max();
        Assert.InRange(published, 1, 599);
        Assert.Equal(StampsAfter(history, published), seen);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    public async Task Without_the_WAL_everything_behind_a_published_FLUSH_is_there(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk journaled = await store.AttachAsync("journaled");
        TestDisk published = await store.AttachAsync("published", level: DurabilityLevel.Published);
        var random = new Random(seed);
        for (int round = 0; round < 20; round++)
        {
            byte[] bytes = new byte[random.Next(1, 100_000)];
            random.NextBytes(bytes);
            await published.WriteAsync(random.Next(0, published.Image.Length - bytes.Length), bytes);
            await journaled.FillAsync(round * 1000, 1000, (byte)round);
            if (round % 3 == 0) await published.FlushAsync();
        }

        await published.FlushAsync();
        byte[] flushed = [.. journaled.Image];
        await journaled.FillAsync(0, 50_000, 0xEE);
        await bench.CrashAsync(store, loseWal: true);
        RunningStore again = await bench.OpenAsync();
        await again.Find("published", published.Image).CheckAllAsync();

        // One order: what was written to the other export before the FLUSH came with it.
        await again.Find("journaled", flushed).CheckAllAsync();
    }

    [Fact]
    public async Task A_FUA_write_of_a_published_export_is_in_the_bucket_when_it_is_answered()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.WriteAsync(4096, [.. Enumerable.Range(0, 255).Select(i => (byte)i)], forceUnitAccess: true);
        await bench.CrashAsync(store, loseWal: true);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task One_published_FLUSH_costs_one_PUT_and_nothing_else()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        await IsTidiedAsync(bench);
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FlushAsync();
        for (int round = 0; round < 5; round++)
        {
            await disk.FillAsync(round * 8192, 8192, (byte)round);
            int before = bench.Objects.Calls.Count;
            await disk.FlushAsync();
            StoreCall call = Assert.Single(bench.Objects.Calls.Skip(before));
            Assert.Equal(StoreOperation.Create, call.Operation);

            // Nothing new to make durable: nothing to ask for.
            await disk.FlushAsync();
            Assert.Equal(before + 1, bench.Objects.Calls.Count);
        }
    }

    [Fact]
    public async Task Many_published_FLUSHes_at_once_share_a_few_PUTs()
    {
        const int Committers = 50;
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        await IsTidiedAsync(bench);
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FlushAsync();

        // The bucket answers nothing until all have asked.
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bench.Objects.BeforeCall = (_, _) => go.Task;
        int before = bench.Objects.Calls.Count;
        Task[] commits = [.. Enumerable.Range(0, Committers).Select(async i =>
        {
            await disk.FillAsync(i * 4096, 4096, (byte)(i + 1));
            await disk.FlushAsync();
        })];
        await Task.Delay(200, StoreBench.Cancellation);
        Assert.All(commits, c => Assert.False(c.IsCompleted));
        go.SetResult();
        await Task.WhenAll(commits);
        Assert.InRange(bench.Objects.Calls.Count - before, 1, 4);
        await bench.CrashAsync(store, loseWal: true);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task A_journaled_FLUSH_syncs_the_WAL_and_asks_nothing_of_the_bucket()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        await IsTidiedAsync(bench);
        TestDisk disk = await store.AttachAsync("disk");
        int calls = bench.Objects.Calls.Count;
        for (int round = 1; round <= 5; round++)
        {
            await disk.FillAsync(0, 4096, (byte)round);
            int syncs = store.Disk.Syncs;
            await disk.FlushAsync();
            Assert.True(store.Disk.Syncs > syncs);
        }

        Assert.Equal(calls, bench.Objects.Calls.Count);
    }

    [Fact]
    public async Task An_idle_store_asks_nothing_of_the_bucket()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await IsTidiedAsync(bench);
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, 100_000, 3);
        await disk.FlushAsync();
        int calls = bench.Objects.Calls.Count;

        // Ten seconds and more of the engine's clock: twenty publish intervals.
        await Task.Delay(600, StoreBench.Cancellation);
        Assert.Equal(calls, bench.Objects.Calls.Count);
        Assert.Equal(TimeSpan.Zero, store.Store.Status.OldestUnpublished);
        Assert.Equal(0, store.Store.Status.DirtyBytes);
    }

    [Fact]
    public async Task Writes_without_a_FLUSH_are_published_after_the_interval()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(0, 4096, 9);
        for (int i = 0; i < 500 && store.Store.Status.DirtyBytes > 0; i++)
            await Task.Delay(10, StoreBench.Cancellation);
        Assert.Equal(0, store.Store.Status.DirtyBytes);
        await bench.CrashAsync(store, loseWal: true);
        await (await bench.OpenAsync()).Find("disk", disk.Image).CheckAllAsync();
    }

    private static async Task<TestDisk[]> AttachThreeAsync(RunningStore store)
    {
        TestDisk[] disks = new TestDisk[3];
        for (int i = 0; i < 3; i++) disks[i] = await store.AttachAsync($"disk-{i}", Slots * Sector);

        // The exports themselves are published, so that they can be looked for.
        for (int i = 0; i < 500 && store.Store.Status.DirtyBytes > 0; i++)
            await Task.Delay(10, StoreBench.Cancellation);
        return disks;
    }

    private static async Task WaitUntilPublishedAsync(RunningStore store, ulong beyond)
    {
        for (int i = 0; i < 3000 && store.Store.Status.LastTable <= beyond; i++)
            await Task.Delay(1, StoreBench.Cancellation);
    }

    private static async Task<int[,]> ReadStampsAsync(RunningStore store, TestDisk[] disks)
    {
        int[,] stamps = new int[3, Slots];
        for (int disk = 0; disk < 3; disk++)
        {
            byte[] bytes = await store.Find($"disk-{disk}", disks[disk].Image).ReadAsync(0, Slots * Sector);
            for (int slot = 0; slot < Slots; slot++)
                stamps[disk, slot] = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(slot * Sector));
        }

        return stamps;
    }

    private static int[,] StampsAfter(List<(int Disk, int Slot)> history, int count)
    {
        int[,] stamps = new int[3, Slots];
        for (int i = 0; i < count; i++) stamps[history[i].Disk, history[i].Slot] = i + 1;
        return stamps;
    }

    // A new store's housekeeping goes on behind its opening, and ends with a second look for copies of checkpoints.
    private static Task IsTidiedAsync(StoreBench bench) => StoreBench.UntilAsync(() => bench.Objects.Calls.Count(
        call => call.Operation == StoreOperation.List && call.Key == ChainNames.CheckpointCopyPrefix) == 2);
}
