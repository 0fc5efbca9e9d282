using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// One bucket, the hosts that serve a store in it, and what may happen to them. The clock runs twenty times faster than
// the wall's, so the engine's patience of seconds costs the tests little.
internal sealed class StoreBench : IAsyncDisposable
{
    public static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    private readonly string _root = Directory.CreateTempSubdirectory("zeroflow-engine-").FullName;
    private readonly Dictionary<string, string> _walOf = [];
    private readonly List<RunningStore> _running = [];
    private int _directories;

    public StoreBench() => Objects = new SimulatedObjectStore(TimeProvider.System);

    public SimulatedObjectStore Objects { get; }

    public ElasticTimeProvider Time { get; } = new(20);

    public BufferPool Buffers { get; } = new(8 << 20);

    // Small, so that little data meets every bound. A busy machine must not look like a process that was stopped.
    public StoreOptions Options { get; set; } = new()
    {
        TableBytes = 256 * 1024,
        PublishInterval = TimeSpan.FromMilliseconds(500),
        WalBytes = 32 * 1024 * 1024,
        WalSegmentBytes = 1024 * 1024,
        DirtyMemoryBytes = 4 * 1024 * 1024,
        MemoryCacheBytes = 1024 * 1024,
        DiskCacheBytes = 0,
        ReadAheadBytes = 1024 * 1024,
        ChunkBytes = 16 * 1024,
        CheckpointTables = 1000,
        StallThreshold = TimeSpan.FromHours(1),
    };

    // Little memory for the maps: pages come and go, and commits wait for checkpoints; what is dead goes at once.
    public static StoreOptions Busy(StoreOptions options) => options with
    {
        MapBytes = 16 * 1024,
        TableBytes = 64 * 1024,
        CheckpointTables = 4,
        CheckpointIdle = TimeSpan.FromSeconds(2),
        DeleteGrace = TimeSpan.Zero,
        PublishInterval = TimeSpan.FromMilliseconds(200),
    };

    // The objects of the chain that are not seals.
    public IReadOnlyList<string> TableKeys =>
        [.. Objects.Keys("chain/").Where(key => Objects.Peek(key) is { } body && body.Length != SealObject.Bytes)];

    public long TableBytes => TableKeys.Sum(key => Objects.Peek(key)?.LongLength ?? 0);

    public static Task UntilAsync(Func<bool> isSo) => UntilAsync(() => Task.FromResult(isSo()));

    public static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        using var limit = new CancellationTokenSource(Soon);
        while (!await isSo())
        {
            Assert.False(limit.IsCancellationRequested, "It did not come to pass.");
            await Task.Delay(TimeSpan.FromMilliseconds(20), Cancellation);
        }
    }

    public static async Task RefusesAsync(FaultKind kind, Func<Task> operation) =>
        Assert.Equal(kind, (await Assert.ThrowsAsync<StorageFaultException>(operation)).Kind);

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    // The WAL's directory of a host, which changes when it crashes.
    public string WalOf(string host) =>
        _walOf.TryGetValue(host, out string? path) ? path : _walOf[host] = NewDirectory();

    // What the store was, beside whoever writes it.
    public async Task<PastStore> OpenPastAsync(DateTimeOffset asOf)
    {
        using var metrics = new PipelineMetrics();
        return await PastStore.OpenAsync(Options, Components(Objects, null!, metrics), asOf, Cancellation);
    }

    public async Task<RebuildReport> RebuildAsync(bool applies)
    {
        using var metrics = new PipelineMetrics();
        return await StoreRebuild.RunAsync(Components(Objects, null!, metrics), applies, Cancellation);
    }

    // Over another store than the bench's, for an opening that ends before it comes to the WAL.
    public async Task OpenOverAsync(IObjectStore objects)
    {
        using var metrics = new PipelineMetrics();
        await BlockStore.OpenAsync(Options, Components(objects, null!, metrics), Cancellation);
    }

    public async Task<RunningStore> OpenAsync(string host = "a")
    {
        var directory = new WalDirectory(WalOf(host));
        var disk = new CrashableWalDisk(directory);
        var way = new SeverableObjectStore(Objects);
        var metrics = new PipelineMetrics();
        try
        {
            BlockStore store = await BlockStore.OpenAsync(
                Options,
                Components(way, disk, metrics),
                Cancellation).WaitAsync(Soon, Cancellation);
            var running = new RunningStore(this, host, store, way, disk, directory, metrics);
            _running.Add(running);
            return running;
        }
        catch
        {
            directory.Dispose();
            metrics.Dispose();
            throw;
        }
    }

    // A kill: what the process handed to the operating system stays, and nothing that it still does arrives.
    public async Task CrashAsync(RunningStore store, bool loseWal = false)
    {
        store.Way.Sever();
        store.Disk.Cut();
        string fresh = NewDirectory();
        if (!loseWal)
        {
            foreach (string name in store.Directory.List().Where(name => name != "lock"))
                File.Copy(Path.Combine(WalOf(store.Host), name), Path.Combine(fresh, name));
        }

        _walOf[store.Host] = fresh;
        await store.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Objects.Outage = null;
        Objects.Faults = StoreFaults.None;
        Objects.BeforeCall = null;
        Objects.AfterCall = null;
        foreach (RunningStore store in _running) await store.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    private StoreComponents Components(IObjectStore objects, IWalDisk disk, PipelineMetrics metrics) => new()
    {
        Objects = objects,
        WalDisk = disk,
        Time = Time,
        Entropy = new SystemEntropy(),
        Buffers = Buffers,
        Metrics = metrics,
        Loggers = NullLoggerFactory.Instance,
        Passphrase = new Passphrase("a passphrase for tests"),
        NewStoreKdf = new KdfCost(8, 1),
    };

    private string NewDirectory()
    {
        string path = Path.Combine(_root, $"wal-{++_directories}");
        Directory.CreateDirectory(path);
        return path;
    }
}

// A store that a host serves.
internal sealed class RunningStore(
    StoreBench bench, string host, BlockStore store, SeverableObjectStore way, CrashableWalDisk disk,
    WalDirectory directory, PipelineMetrics metrics) : IAsyncDisposable
{
    private bool _isDisposed;

    public string Host => host;

    public BlockStore Store => store;

    public SeverableObjectStore Way => way;

    public CrashableWalDisk Disk => disk;

    public WalDirectory Directory => directory;

    // Makes the export, or finds it again, and compares it with the image from now on.
    public async Task<TestDisk> AttachAsync(
        string name, long sizeBytes = 4 << 20, DurabilityLevel level = DurabilityLevel.Journaled, byte[]? image = null)
    {
        await store.EnsureExportAsync(name, sizeBytes, level, StoreBench.Cancellation)
            .WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.True(store.TryOpen(name, out IBlockDevice? device));
        return new TestDisk(device, bench.Buffers, image ?? new byte[sizeBytes]);
    }

    // Finds an export of an earlier run again, without asking for anything.
    public TestDisk Find(string name, byte[] image)
    {
        Assert.True(store.TryOpen(name, out IBlockDevice? device));
        return new TestDisk(device, bench.Buffers, image);
    }

    public async Task<StopReport> StopAsync(TimeSpan timeout) =>
        await store.StopAsync(timeout).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    // An end that hangs is a failure of every test that gets here.
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        await store.DisposeAsync().AsTask().WaitAsync(StoreBench.Soon);
        directory.Dispose();
        disk.Dispose();
        metrics.Dispose();
    }
}
