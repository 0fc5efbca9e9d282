using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Stages.Tests.Engine;

// Chunk size and compression are an export's own.
public sealed class ExportShapeTests
{
    private const int Bytes = 1 << 20;

    // The same bytes, which compress well, in three exports: what the bucket holds tells the level.
    [Fact]
    public async Task Each_export_is_compressed_as_it_wants()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        long own = await StoredAsync(bench, store, "own", new NewExportOptions());
        long raw = await StoredAsync(bench, store, "raw", new NewExportOptions(CompressionLevel: 0));
        Assert.True(own < Bytes / 10, $"{own} bytes");
        Assert.InRange(raw, Bytes, Bytes * 1.1);

        ExportInfo altered = await store.Store.AlterExportAsync("raw", new ExportPatch { CompressionLevel = 3 }, StoreBench.Cancellation);
        Assert.Equal(3, altered.CompressionLevel);
        Assert.True(await RewrittenAsync(bench, store, "raw") < Bytes / 10);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_was_chosen_outlives_restarts_and_clones_have_it(bool losesWal)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { CheckpointTables = 1 };
        RunningStore store = await bench.OpenAsync();
        await store.Store.CreateExportAsync("a", Bytes, DurabilityLevel.Published, new NewExportOptions(1 << 20, 9), StoreBench.Cancellation);
        TestDisk disk = store.Find("a", new byte[Bytes]);
        await disk.FillAsync(0, Bytes, 1);
        await disk.FlushAsync();
        await store.Store.CreateSnapshotsAsync(["a"], "s", StoreBench.Cancellation);
        await store.Store.CloneAsync("a@s", "b", null, StoreBench.Cancellation);
        await bench.CrashAsync(store, losesWal);

        RunningStore again = await bench.OpenAsync();
        foreach (string name in (string[])["a", "a@s", "b"])
        {
            TestDisk found = again.Find(name, disk.Image);
            Assert.Equal((1 << 20, 9), (found.Device.Info.ChunkBytes, found.Device.Info.CompressionLevel));
            await found.CheckAllAsync();
        }
    }

    [Theory]
    [InlineData(8192, null)]
    [InlineData(100_000, null)]
    [InlineData(2 << 20, null)]
    [InlineData(null, -1)]
    [InlineData(null, 20)]
    public async Task Anything_else_is_refused(int? chunkBytes, int? compression)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await StoreBench.RefusesAsync(FaultKind.Invalid, () => store.Store.CreateExportAsync(
            "a", Bytes, DurabilityLevel.Journaled, new NewExportOptions(chunkBytes, compression), StoreBench.Cancellation));
        Assert.Empty(store.Store.List());
    }

    private static async Task<long> StoredAsync(StoreBench bench, RunningStore store, string name, NewExportOptions options)
    {
        await store.Store.CreateExportAsync(name, Bytes, DurabilityLevel.Published, options, StoreBench.Cancellation);
        return await RewrittenAsync(bench, store, name);
    }

    private static async Task<long> RewrittenAsync(StoreBench bench, RunningStore store, string name)
    {
        long before = bench.TableBytes;
        TestDisk disk = store.Find(name, new byte[Bytes]);
        await disk.FillAsync(0, Bytes, 7);
        await disk.FlushAsync();
        await disk.CheckAllAsync();
        return bench.TableBytes - before;
    }
}
