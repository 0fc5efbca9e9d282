using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// Years of overwrites in seconds: the bucket holds about what lives, and every byte stays what it was.
public sealed class SettlingTests
{
    private const int ExportBytes = 4 << 20;

    private static StoreOptions Busy(StoreOptions options, int mapBytes = 16 * 1024) =>
        StoreBench.Busy(options) with { MapBytes = mapBytes, TableBytes = 128 * 1024 };

    [Theory]
    [InlineData(1, 16 * 1024)]
    [InlineData(2, 1024)]
    [InlineData(3, 1 << 30)]
    public async Task Overwrites_converge_to_the_live_bytes_divided_by_the_target_share(int seed, int mapBytes)
    {
        await using var bench = new StoreBench();
        bench.Options = Busy(bench.Options, mapBytes);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes);
        var random = new Random(seed);
        await OverwriteAsync(disk, random, writes: 1500);
        await disk.FlushAsync();

        await StoreBench.UntilAsync(() => HoldsLittleMoreThan(bench, store, disk.Image));
        StoreSpace space = store.Store.Space;
        Assert.True(space.SettledBytes > 0, "Nothing was settled.");
        await disk.CheckAllAsync();

        // Nothing changes any more, so nothing is asked of the bucket.
        await StoreBench.UntilAsync(() => IsQuietAsync(bench));
        await store.StopAsync(TimeSpan.FromMinutes(5));
        await store.DisposeAsync();
        RunningStore other = await bench.OpenAsync("another host");
        await other.Find("disk", disk.Image).CheckAllAsync();
    }

    // A kill at any moment between a settled table, its checkpoint, and the deletes behind it.
    [Theory]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    public async Task Kills_while_settling_and_collecting_lose_nothing(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = Busy(bench.Options);
        byte[] image = new byte[ExportBytes];
        var random = new Random(seed);
        long settled = 0;
        for (int round = 0; round < 8; round++)
        {
            RunningStore store = await bench.OpenAsync();
            TestDisk disk = await store.AttachAsync("disk", ExportBytes, DurabilityLevel.Published, image);
            bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(4), ReplyLostRate = 0.03 };
            await OverwriteAsync(disk, random, writes: random.Next(100, 400));
            if (random.Next(2) == 0) await disk.FlushAsync();
            // A round may end before the settler begins. By now most of what is in the tables is dead, so it must begin.
            if (round >= 4 && settled == 0) await StoreBench.UntilAsync(() => store.Store.Space.SettledBytes > 0);
            settled += store.Store.Space.SettledBytes;
            await bench.CrashAsync(store);
            bench.Objects.Faults = StoreFaults.None;
        }

        Assert.True(settled > 0, "Nothing was settled.");
        RunningStore last = await bench.OpenAsync();
        await last.Find("disk", image).CheckAllAsync();
        await last.StopAsync(TimeSpan.FromMinutes(5));
        await last.DisposeAsync();
        RunningStore other = await bench.OpenAsync("another host");
        await other.Find("disk", image).CheckAllAsync();
    }

    // The bucket answers so slowly that four writers without a pause would bury the settler.
    [Fact]
    public async Task Writers_that_outrun_the_settler_are_slowed_until_the_garbage_grows_no_more()
    {
        await using var bench = new StoreBench();
        bench.Options = Busy(bench.Options, mapBytes: 1 << 20) with { WalBytes = 8 << 20 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes);
        bench.Objects.Faults = new StoreFaults { LatencyMin = TimeSpan.FromMilliseconds(5), LatencyMax = TimeSpan.FromMilliseconds(15) };
        var random = new Random(11);
        long most = 0;
        for (int round = 0; round < 40; round++)
        {
            await OverwriteAsync(disk, random, writes: 100);
            most = Math.Max(most, bench.TableBytes);
        }

        bench.Objects.Faults = StoreFaults.None;
        await disk.CheckAllAsync();
        TestContext.Current.TestOutputHelper!.WriteLine($"{most} bytes at most, {store.Store.Space.SettledBytes} settled");
        Assert.InRange(most, ExportBytes, ExportBytes * 6);
    }

    [Fact]
    public async Task A_trim_of_everything_gives_the_space_back_by_itself()
    {
        await using var bench = new StoreBench();
        bench.Options = Busy(bench.Options) with { CheckpointTables = 1000 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", ExportBytes);
        await OverwriteAsync(disk, new Random(5), writes: 100);
        await disk.ZeroAsync(0, ExportBytes);
        await disk.FlushAsync();

        // An empty bucket is not meant: everything was published, and is gone again.
        await StoreBench.UntilAsync(() => store.Store.Status.DirtyBytes == 0 && bench.TableBytes == 0);

        await disk.CheckAllAsync();
        await bench.CrashAsync(store, loseWal: true);
        RunningStore other = await bench.OpenAsync();
        await other.Find("disk", disk.Image).CheckAllAsync();
    }

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            switch (random.Next(20))
            {
                case 0:
                    await disk.ZeroAsync(random.Next(ExportBytes / 4096) * 4096L, 4096);
                    break;
                case 1:
                    int chunk = random.Next(ExportBytes / (64 * 1024));
                    await disk.WriteAsync(chunk * 64L * 1024, RandomBytes(random, 64 * 1024));
                    break;
                case 2:
                    await disk.CheckAsync(random.Next(ExportBytes - 50_000), random.Next(1, 50_000));
                    break;
                default:
                    await disk.WriteAsync(random.Next(ExportBytes / 8192) * 8192L, RandomBytes(random, 8192));
                    break;
            }
        }
    }

    private static byte[] RandomBytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    // The target share, a table of garbage below which nothing is worth doing, and a tenth for headers and indexes.
    private static bool HoldsLittleMoreThan(StoreBench bench, RunningStore store, byte[] image)
    {
        long live = image.Chunk(512).Count(sector => sector.AsSpan().IndexOfAnyExcept((byte)0) >= 0) * 512L;
        return bench.TableBytes <= (live / bench.Options.SettleLiveShare * 1.1) + (2 * bench.Options.TableBytes)
            && store.Store.Status.DirtyBytes == 0;
    }

    private static async Task<bool> IsQuietAsync(StoreBench bench)
    {
        int before = bench.Objects.Calls.Count;
        await Task.Delay(TimeSpan.FromMilliseconds(300), StoreBench.Cancellation);
        return bench.Objects.Calls.Count == before;
    }
}
