using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Simulation.Oracle;
using ZeroFlow.Simulation.World;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Keys;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Simulation.Actors;

/// <summary>One run of the server on one host: a process, the disk that it finds, and the store that it opens.</summary>
internal sealed class SimulatedServer(
    SimulatedProcess process, SimulatedWalDisk disk, SimulatedBucket bucket, TimeSpan retention)
{
    public const int BlocksPerExport = 64;

    public static readonly (string Name, DurabilityLevel Level)[] Exports =
    [
        ("journaled", DurabilityLevel.Journaled), ("published", DurabilityLevel.Published),
        ("other", DurabilityLevel.Journaled),
    ];

    // Small, so that a short run meets every bound: segments roll, tables fill, checkpoints and settling begin.
    private static readonly StoreOptions Options = new()
    {
        TableBytes = 128 * 1024,
        PublishInterval = TimeSpan.FromSeconds(1),
        UploadsInFlight = 3,
        WalBytes = 2 * 1024 * 1024,
        WalSegmentBytes = 512 * 1024,
        DirtyMemoryBytes = 128 * 1024,
        MemoryCacheBytes = 128 * 1024,
        DiskCacheBytes = 0,
        ReadAheadBytes = 256 * 1024,
        ChunkBytes = 16 * 1024,
        CheckpointTables = 5,
        CheckpointIdle = TimeSpan.FromSeconds(15),
        DeleteGrace = TimeSpan.FromSeconds(20),
        FullDiskPatience = TimeSpan.FromSeconds(5),
        MergeShare = 2,
    };

    private BlockStore? _store;

    public SimulatedProcess Process => process;

    public SimulatedWalDisk Disk => disk;

    public BlockStore Store => _store ?? throw new InvalidOperationException("The store is not open.");

    /// <summary>While it is set the clients do nothing, so that the server comes to what it does when it has time.</summary>
    public bool ClientsRest { get; set; }

    /// <summary>Set when the process slept through another's takeover: from then on it may tell nobody anything.</summary>
    public bool MustBeSilent { get; set; }

    /// <summary>What the successor saw, once there is one: a published FLUSH may be answered only if that covers it.</summary>
    public int[][]? SeenBySuccessor { get; set; }

    public StoreOracle Oracle { get; set; } = null!;

    public Task OpenAsync(ILoggerFactory? loggers = null) => process.Run(async () =>
    {
        _store = await BlockStore.OpenAsync(
            retention == TimeSpan.Zero ? Options : Options with { Retention = retention, DeleteGrace = TimeSpan.FromSeconds(2) },
            Components(loggers), CancellationToken.None);
        foreach (var (name, level) in Exports)
            await _store.EnsureExportAsync(name, BlocksPerExport * BlockStamp.BlockBytes, level, CancellationToken.None);
    });

    /// <summary>Instead of opening: makes the store whole again.</summary>
    public Task<RebuildReport> RebuildAsync() =>
        process.Run(() => StoreRebuild.RunAsync(Components(null), applies: true, CancellationToken.None));

    private StoreComponents Components(ILoggerFactory? loggers) => new()
    {
        Objects = bucket,
        WalDisk = disk,
        Time = process.Time,
        Entropy = new SeededEntropy(process.World),
        Buffers = new BufferPool(4 << 20),
        Metrics = new PipelineMetrics(),
        Loggers = loggers ?? NullLoggerFactory.Instance,
        Passphrase = new Passphrase("simulated"),
        NewStoreKdf = new KdfCost(8, 1),
    };

    public IBlockDevice Device(int export) =>
        Store.TryOpen(Exports[export].Name, out IBlockDevice? device)
            ? device
            : throw new InvalidOperationException("The export is not there.");

    /// <summary>Everything that the server serves, in stamps.</summary>
    public Task<ulong[][]> ReadAllAsync() => process.Run(async () =>
    {
        ulong[][] image = new ulong[Exports.Length][];
        for (int export = 0; export < image.Length; export++) image[export] = await ReadAsync(Device(export));
        return image;
    });

    /// <summary>Everything that a device holds, in stamps. Waits for a bucket that is bad at present.</summary>
    public async Task<ulong[]> ReadAsync(IBlockDevice device)
    {
        byte[] bytes = new byte[BlocksPerExport * BlockStamp.BlockBytes];
        while (true)
        {
            try
            {
                await device.ReadAsync(0, bytes, CancellationToken.None);
                break;
            }
            catch (StorageFaultException away) when (away.Kind == FaultKind.Unavailable)
            {
                // A cold read has its patience; a client would ask again.
                await process.Sleep(TimeSpan.FromSeconds(1));
            }
        }

        return BlockStamp.ReadAll(bytes);
    }
}
