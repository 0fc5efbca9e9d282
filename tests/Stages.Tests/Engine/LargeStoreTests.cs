using System.Diagnostics;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Engine;

// What opening costs when an export is full: 4 GiB, and 1 TiB with ZEROFLOW_LONG=1, which takes minutes and half a GiB in
// ZEROFLOW_SCALE_DIR (a directory in memory, because every object is synced); the store stays there with
// ZEROFLOW_SCALE_KEEP=1, for a real server. Prints the figures of perf/results.
public sealed class LargeStoreTests
{
    private const int Behind = 64;
    private const int PageReads = 200;

    private static readonly Passphrase s_passphrase = new("a passphrase for tests");

    [Fact]
    public async Task A_full_export_opens_in_few_requests_and_keeps_its_map_within_the_budget()
    {
        bool isLong = Environment.GetEnvironmentVariable("ZEROFLOW_LONG") == "1";
        long exportBytes = (isLong ? 1024L : 4) << 30;
        string directory = Environment.GetEnvironmentVariable("ZEROFLOW_SCALE_DIR") is { Length: > 0 } named
            ? Path.Combine(named, Guid.NewGuid().ToString("N"))
            : Directory.CreateTempSubdirectory("zeroflow-large-").FullName;
        Directory.CreateDirectory(directory);
        try
        {
            await using DirectoryObjectStore objects = DirectoryObjectStore.Open(directory, TimeProvider.System);
            await WriteAsync(objects, exportBytes);
            await MeasureAsync(objects, exportBytes, isLong);
        }
        finally
        {
            if (Environment.GetEnvironmentVariable("ZEROFLOW_SCALE_KEEP") != "1") Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task WriteAsync(DirectoryObjectStore objects, long exportBytes)
    {
        StoreKeys keys = await StoreRecord.OpenOrCreateAsync(
            objects, s_passphrase, new KdfCost(8, 1), new SystemEntropy(), TimeProvider.System, CancellationToken.None);
        await new LargeStore(objects, keys, new BufferPool(64 << 20)).WriteAsync(exportBytes, Behind);
    }

    // What is allocated, an upper bound of what is kept, is the process's: judged where no other test runs beside this one.
    private static async Task MeasureAsync(DirectoryObjectStore objects, long exportBytes, bool isAlone)
    {
        // Half of it holds 2,000 full pages: the pages of 1 TiB are 32 times as many.
        var options = new StoreOptions { MapBytes = 16 << 20, MemoryCacheBytes = 8 << 20, DiskCacheBytes = 0, WalSegmentBytes = 1 << 20, WalBytes = 64 << 20 };
        var counting = new CountingStore(objects);
        using var metrics = new PipelineMetrics();
        long allocated = GC.GetTotalAllocatedBytes();
        long started = Stopwatch.GetTimestamp();
        await using BlockStore store = await BlockStore.OpenAsync(
            options,
            new StoreComponents
            {
                Objects = counting,
                WalDisk = new SimulatedWalDisk(),
                Time = TimeProvider.System,
                Entropy = new SystemEntropy(),
                Buffers = new BufferPool(64 << 20),
                Metrics = metrics,
                Loggers = NullLoggerFactory.Instance,
                Passphrase = s_passphrase,
                NewStoreKdf = new KdfCost(8, 1),
            },
            CancellationToken.None);
        TimeSpan opening = Stopwatch.GetElapsedTime(started);
        int requests = counting.Count;
        allocated = GC.GetTotalAllocatedBytes() - allocated;
        Say($"{exportBytes >> 30} GiB: opened in {opening.TotalSeconds:0.00} s with {requests} requests, {allocated >> 20} MiB allocated");

        // The probe, the keys, the roots, two requests for each table that no checkpoint covers, and the seal.
        Assert.InRange(requests, Behind, (2 * Behind) + 40);
        if (isAlone) Assert.InRange(allocated, 0, (32L << 20) + (exportBytes / (8 << 10)));
        Assert.True(store.TryOpen("disk", out IBlockDevice? device));
        var random = new Random(1);
        started = Stopwatch.GetTimestamp();
        for (int i = 0; i < PageReads; i++) await ReadAsync(device, random.NextInt64(exportBytes / 4096) * 4096);
        Say($"{PageReads} first reads of 4 KiB took {counting.Count - requests} requests and {Stopwatch.GetElapsedTime(started).TotalSeconds:0.00} s");

        // A page of the map and a chunk for each; and behind the opening a checkpoint, which reads the pages of the tables
        // that none covers.
        Assert.InRange(counting.Count - requests, 1, (2 * PageReads) + (2 * Behind) + 20);
        long most = 0;
        for (long page = 0; page < Math.Min(exportBytes, 64L << 30); page += 16 << 20)
        {
            await ReadAsync(device, page + (random.Next(4096) * 4096));
            most = Math.Max(most, Opened(Runtime(store)).State.Pages.ResidentBytes);
        }

        Say($"map pages in memory: {most >> 10} KiB at most, of {options.MapBytes >> 11} KiB");
        Assert.InRange(most, 1, options.MapBytes / 2);
    }

    private static async Task ReadAsync(IBlockDevice device, long offset)
    {
        byte[] bytes = new byte[4096];
        await device.ReadAsync(offset, bytes, CancellationToken.None);
        Assert.Equal(-1, bytes.AsSpan().IndexOfAnyExcept(LargeStore.Stamp));
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_runtime")]
    private static extern ref StoreRuntime Runtime(BlockStore store);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_opened")]
    private static extern ref OpenedStore Opened(StoreRuntime runtime);

    private static void Say(string figures) => TestContext.Current.TestOutputHelper!.WriteLine(figures);

    // Counts what is asked of the bucket.
    private sealed class CountingStore(IObjectStore inner) : IObjectStore
    {
        private int _count;

        public int Count => Volatile.Read(ref _count);

        public string Location => inner.Location;

        public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
            Counted().ReadRangeAsync(key, offset, destination, cancellation);

        public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
            Counted().TryReadAsync(key, bytesMax, cancellation);

        public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
            Counted().TryCreateAsync(key, body, cancellation);

        public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
            Counted().WriteAsync(key, body, cancellation);

        public Task DeleteAsync(string key, CancellationToken cancellation) => Counted().DeleteAsync(key, cancellation);

        public IAsyncEnumerable<ObjectEntry> ListAsync(string prefix, string? startAfter, CancellationToken cancellation) =>
            Counted().ListAsync(prefix, startAfter, cancellation);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        private IObjectStore Counted()
        {
            Interlocked.Increment(ref _count);
            return inner;
        }
    }
}
