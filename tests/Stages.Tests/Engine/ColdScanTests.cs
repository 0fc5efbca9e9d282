using Xunit;

namespace ZeroFlow.Stages.Tests.Engine;

// A scan of what is only in the bucket.
public sealed class ColdScanTests
{
    private const int Chunk = 128 * 1024;
    private const int Size = 48 << 20;

    // Three pages of the map, none of them in memory: the read-ahead has to go on across their borders by itself.
    [Fact]
    public async Task A_cold_scan_costs_few_GETs_and_has_several_of_them_under_way()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with
        {
            ChunkBytes = Chunk,
            PublishInterval = TimeSpan.FromHours(1),
            TableBytes = 16 << 20,
            CheckpointTables = 1,
            ReadAheadBytes = 8 << 20,
            MemoryCacheBytes = 64 << 20,
            DirtyMemoryBytes = 64 << 20,
            WalBytes = 128 << 20,
        };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Size);
        byte[] noise = new byte[1 << 20];
        for (int at = 0; at < Size; at += noise.Length)
        {
            new Random(at).NextBytes(noise);
            await disk.WriteAsync(at, noise);
        }

        await disk.FlushAsync();
        await store.StopAsync(StoreBench.Soon);
        await store.DisposeAsync();
        store = await bench.OpenAsync();
        await StoreBench.UntilAsync(() => bench.Objects.Keys("checkpoint/").Count > 0);
        await store.DisposeAsync();

        store = await bench.OpenAsync();
        disk = store.Find("disk", disk.Image);
        int gets = 0, underWay = 0, most = 0;
        bench.Objects.BeforeCall = async (_, cancellation) =>
        {
            Interlocked.Increment(ref gets);
            int now = Interlocked.Increment(ref underWay);
            for (int seen = most; now > seen && Interlocked.CompareExchange(ref most, now, seen) != seen; seen = most) { }
            await Task.Delay(20, cancellation);
            Interlocked.Decrement(ref underWay);
        };
        for (int at = 0; at < Size; at += Chunk) await disk.CheckAsync(at, Chunk);

        // Steps are of a MiB or more; without read-ahead each chunk is a GET, and one at a time.
        Assert.InRange(gets, 12, Size / Chunk / 4);
        Assert.InRange(most, 3, 64);
    }
}
