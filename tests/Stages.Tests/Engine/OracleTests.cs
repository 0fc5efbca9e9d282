using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// The engine against an array of bytes, under a load that meets all its bounds at once.
public sealed class OracleTests
{
    private const int Region = 1 << 20;
    private const int Regions = 4;

    // Payloads spill to the WAL at once, tables are tiny, and dead tables are deleted while reads go on.
    private static StoreOptions Tight(StoreOptions options) => options with
    {
        DirtyMemoryBytes = 64 * 1024,
        CheckpointTables = 2,
        DeleteGrace = TimeSpan.Zero,
        PublishInterval = TimeSpan.FromMilliseconds(100),
    };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Exports_read_like_arrays_of_bytes_while_tables_come_and_go(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = Tight(bench.Options);
        bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(3) };
        RunningStore store = await bench.OpenAsync();
        TestDisk[] disks = [await AttachAsync(store, 0), await AttachAsync(store, 1)];
        await Task.WhenAll(disks.SelectMany((disk, d) => Enumerable.Range(0, Regions).Select(
            region => Task.Run(() => LoadAsync(disk, region, new Random((seed * 100) + (d * 10) + region), 60)))));
        bench.Objects.Faults = StoreFaults.None;
        foreach (TestDisk disk in disks) await disk.CheckAllAsync();
        // On a busy machine the first one may come behind the load.
        await StoreBench.UntilAsync(() => bench.Objects.Calls.Any(
            c => c.Operation == StoreOperation.Delete && c.Key.StartsWith("chain/", StringComparison.Ordinal)));

        StopReport report = await store.StopAsync(TimeSpan.FromMinutes(5));
        Assert.Equal(new StopReport(true, 0), report);
        await store.DisposeAsync();
        Assert.Equal(0, bench.Buffers.RentedBytes);
        await CheckAfterAsync(bench, loseWal: true, disks);
    }

    // The load stops without a word; what was answered must be there.
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public async Task Everything_that_was_answered_survives_kills_one_after_the_other(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = Tight(bench.Options);
        byte[][] images = [new byte[Region * Regions], new byte[Region * Regions]];
        for (int round = 0; round < 4; round++)
        {
            RunningStore store = await bench.OpenAsync();
            TestDisk[] disks = [await AttachAsync(store, 0, images[0]), await AttachAsync(store, 1, images[1])];
            bench.Objects.Faults = StoreFaults.None;
            foreach (TestDisk disk in disks) await disk.CheckAllAsync();
            bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(10) };
            var random = new Random((seed * 10) + round);
            await Task.WhenAll(disks.SelectMany(disk => Enumerable.Range(0, Regions).Select(
                region => LoadAsync(disk, region, new Random(random.Next()), 8))));
            await bench.CrashAsync(store);
        }

        bench.Objects.Faults = StoreFaults.None;
        await CheckAfterAsync(bench, loseWal: false, images[0], images[1]);
    }

    // Lost replies make creates that succeeded look failed, and throttling reorders uploads.
    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public async Task A_bucket_that_fails_every_fifth_request_loses_and_doubles_nothing(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with
        {
            TableBytes = 128 * 1024,
            CheckpointTables = 3,
            DeleteGrace = TimeSpan.Zero,
        };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk-0", Region * Regions, DurabilityLevel.Published);
        bench.Objects.Faults = new StoreFaults { TransientRate = 0.1, ReplyLostRate = 0.1 };
        await Task.WhenAll(Enumerable.Range(0, Regions).Select(
            region => LoadAsync(disk, region, new Random(seed + region), 25)));
        await disk.FlushAsync();
        await bench.CrashAsync(store, loseWal: true);
        bench.Objects.Faults = StoreFaults.None;
        await CheckAfterAsync(bench, loseWal: true, disk.Image);
    }

    private static Task<TestDisk> AttachAsync(RunningStore store, int index, byte[]? image = null) =>
        store.AttachAsync($"disk-{index}", Region * Regions, DurabilityLevel.Journaled, image);

    // Unaligned writes, zeroes and reads within one region, so that regions may run at once.
    private static async Task LoadAsync(TestDisk disk, int region, Random random, int steps)
    {
        long start = (long)region * Region;
        for (int step = 0; step < steps; step++)
        {
            int length = random.Next(10) == 0 ? random.Next(1, Region) : random.Next(1, 20_000);
            int offset = random.Next(0, Region - length + 1);
            switch (random.Next(10))
            {
                case < 6:
                    byte[] bytes = new byte[length];
                    random.NextBytes(bytes);
                    await disk.WriteAsync(start + offset, bytes);
                    break;
                case 6:
                    await disk.ZeroAsync(start + offset, length);
                    break;
                case 7 when random.Next(4) == 0:
                    await disk.FlushAsync();
                    break;
                default:
                    await disk.CheckAsync(start + offset, length);
                    break;
            }
        }
    }

    private static Task CheckAfterAsync(StoreBench bench, bool loseWal, params TestDisk[] disks) =>
        CheckAfterAsync(bench, loseWal, [.. disks.Select(d => d.Image)]);

    private static async Task CheckAfterAsync(StoreBench bench, bool loseWal, params byte[][] images)
    {
        RunningStore store = await bench.OpenAsync(loseWal ? "another host" : "a");
        Assert.Equal(images.Length, store.Store.List().Count);
        for (int i = 0; i < images.Length; i++) await store.Find($"disk-{i}", images[i]).CheckAllAsync();
    }
}
