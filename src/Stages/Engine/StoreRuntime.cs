using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>What opening hands to the running engine.</summary>
internal sealed record OpenedStore(
    StoreKeys Keys, IChunkCodec Codec, StoreState State, ChainWalker Chain, Guid Session, WriteAheadLog Wal,
    IReadOnlyList<WriteRecord> Replayed, Sequence LastSequence,
    ByteBudget DirtyMemory, RetryingObjectStore Objects, StoreHealth Health, StoreSupervisor Supervisor);

/// <summary>
/// The running engine: its constructor is the wiring diagram, from admission to commit, and it owns the loops.
/// </summary>
internal sealed class StoreRuntime : IAsyncDisposable
{
    private readonly ConcurrentDictionary<uint, ExportDevice> _exports = new();
    private readonly OpenedStore _opened;
    private readonly StoreComponents _parts;
    private readonly SequenceFrontier _stable;
    private readonly SequenceFrontier _published;
    private readonly Admission _admission;
    private readonly AckGate _gate;
    private readonly CutStage _cutter;
    private readonly JournalStage _journal;
    private readonly SyncStage _sync;
    private readonly StoreGraph _graph;
    private readonly CommitTurn _turn = new();
    private readonly MaintenanceLoop _maintenance;
    private readonly FrameDiskCache? _diskCache;
    private readonly FrameReader _frames;
    private readonly RetryingObjectStore _scrubStore;
    private readonly SemaphoreSlim _scrubTurn = new(1);
    private readonly ScrubMeter _scrubMeter;
    private readonly ReadParts _reading;
    private Task _journalLoop = Task.CompletedTask;
    private Task _syncLoop = Task.CompletedTask;
    private Task _cutLoop = Task.CompletedTask;
    private Task _maintenanceLoop = Task.CompletedTask;

    public StoreRuntime(StoreOptions options, StoreComponents parts, OpenedStore opened)
    {
        _opened = opened;
        _parts = parts;
        Options = options;
        Supervisor = opened.Supervisor;
        ILogger log = parts.Loggers.CreateLogger("ZeroFlow.Store");
        StoreState state = opened.State;

        // Reading: memory, then disk, then bucket.
        var memory = new FrameMemoryCache(options.MemoryCacheBytes);
        _diskCache = OpenDiskCache(options, parts, log);
        RetryingObjectStore readStore = opened.Objects.With(RetryPolicy.ForReads(options.RefusalPatience), ObjectPurpose.Read);
        _scrubStore = readStore.For(ObjectPurpose.Scrub);
        _frames = new FrameReader(
            readStore, state.Tables, memory, _diskCache, parts.Buffers, parts.Metrics,
            new FrameReaderOptions { ReadAheadBytes = options.ReadAheadBytes });
        state.Pages.Attach(_frames, memory, options.MapBytes / 2);
        _reading = new ReadParts(opened.Wal, parts.Buffers, state.Tables, memory, _frames, options.ReadAheadBytes);

        // The drain, from its end to its head: a stage is told where its messages go.
        RetryingObjectStore uploadStore = opened.Objects.With(RetryPolicy.ForUploads, ObjectPurpose.Drain);
        _published = new SequenceFrontier(state.LastSequence);
        _admission = new Admission(options.WalBytes, parts.Time, log);
        var proof = new OwnershipProof(uploadStore.For(ObjectPurpose.Prove), opened.Chain, opened.Session, () => state.Position);
        _gate = new AckGate(parts.Time, options.StallThreshold, proof.RunAsync, Supervisor, log);
        StoreGraph? graph = null;
        var pacer = new SettlePacer(parts.Time);
        _cutter = new CutStage(
            options, opened.Wal, parts.Buffers, parts.Time, parts.Metrics, state.Position.NextNumber,
            state.LastSequence, pacer, draft => graph!.SendAsync(draft));
        _maintenance = NewMaintenance(options, parts, opened, uploadStore, proof, pacer, log);
        _graph = graph = new StoreGraph(
            parts.Metrics.Traces,
            new StageFactory(
                parts.Metrics, parts.Time, Supervisor.Fail, new YieldingScheduler(() => _cutter.IsHurried)),
            options,
            new ChunkStage(ChunkBytesOf, state.FamilyOf),
            new CompressStage(opened.Codec, parts.Buffers, CompressionOf),
            new SealStage(opened.Keys, parts.Entropy),
            new TableStage(opened.Keys, opened.Codec, opened.Session, parts.Time),
            new UploadStage(uploadStore, uploadStore.For(ObjectPurpose.Settle), opened.Keys, Supervisor),
            new CommitStage(
                state, opened.Session, opened.Wal, _published, _admission, _cutter, Supervisor, _diskCache, _turn,
                _maintenance));

        // The front.
        _stable = new SequenceFrontier(opened.LastSequence);
        _journal = new JournalStage(
            opened.Wal, _cutter, _gate, _admission, Supervisor, opened.DirtyMemory, parts.Time, parts.Metrics,
            opened.LastSequence);
        _sync = new SyncStage(opened.Wal, _journal, _stable, Supervisor, parts.Time, parts.Metrics);
        Front = new WriteFront(
            _admission, _journal, _sync, _cutter, _published, _gate, Supervisor, opened.Wal, parts.Time, parts.Metrics);

        Supervisor.OnFatal(_stable.Fault);
        Supervisor.OnFatal(_published.Fault);
        Supervisor.OnFatal(_admission.Fault);
        StoreGauges.Register(parts.Metrics.Meter, this, opened.Wal);
        _scrubMeter = new ScrubMeter(parts.Metrics.Meter, parts.Time);
    }

    /// <summary>Starts the loops, with what was replayed from the WAL first in line for the bucket.</summary>
    public void Start()
    {
        foreach (WriteRecord record in _opened.Replayed)
        {
            _admission.EnterRecovered(record.WalBytes);
            _cutter.Enqueue(record);
        }

        _maintenanceLoop = BackgroundLoop.Start(
            _maintenance.RunAsync, fault => Supervisor.Fail("maintenance", fault), Supervisor.Stopping);
        _cutLoop = BackgroundLoop.Start(_cutter.RunAsync, fault => Supervisor.Fail("cut", fault), Supervisor.Stopping);
        _syncLoop = BackgroundLoop.Start(_sync.RunAsync, fault => Supervisor.Fail("sync", fault), CancellationToken.None);
        _journalLoop = BackgroundLoop.Start(_journal.RunAsync, fault => Supervisor.Fail("journal", fault), CancellationToken.None);
    }

    public StoreOptions Options { get; }

    public StoreSupervisor Supervisor { get; }

    /// <summary>The way in for writes, zeroes, catalog changes and barriers.</summary>
    public WriteFront Front { get; }

    public StoreStatus Status => new(
        Supervisor.Cause?.Kind == FaultKind.Fenced,
        Supervisor.Cause?.Message,
        _opened.Health.IsReachable,
        _opened.Health.LastError,
        _admission.DirtyBytes,
        _cutter.OldestUnpublished,
        _opened.State.Position.Epoch,
        _opened.State.Position.Number,
        _opened.Health.Since,
        _admission.LimitBytes);

    public StoreSpace Space
    {
        get
        {
            long live = 0, data = 0, map = 0;
            foreach (var (_, table) in _opened.State.Tables.All())
            {
                if (table.Kind == ChainObjectKind.MapPages) map += table.ObjectBytes;
                else (live, data) = (live + table.LiveBytes, data + table.ObjectBytes);
            }

            return new StoreSpace(live, data, map, _maintenance.SettledBytes, _maintenance.WaitingObjects, _maintenance.MergedBytes, _maintenance.FragmentedPages);
        }
    }

    /// <summary>Bytes of the maps in memory: stored pages, and changes that no checkpoint holds yet.</summary>
    public long MapMemoryBytes => _opened.State.Pages.ResidentBytes + _opened.State.Pages.ChangedBytes;

    /// <summary>Plain bytes that the tables were written with, live and dead.</summary>
    public long TablesPlainBytes =>
        _opened.State.Tables.All().Where(t => t.Table.Kind != ChainObjectKind.MapPages).Sum(t => t.Table.PlainBytes);

    /// <summary>Checkpoints that were stored since the start.</summary>
    public long Checkpoints => _maintenance.Checkpoints;

    /// <summary>Bytes of WAL that may wait for the bucket.</summary>
    public long DirtyBytesMax => _admission.LimitBytes;

    /// <summary>Bytes of unpublished payload in memory.</summary>
    public long DirtyMemoryBytes => _opened.DirtyMemory.UsedBytes;

    /// <summary>Time that writes waited at admission.</summary>
    public TimeSpan AdmissionWaited => _admission.Waited;

    /// <summary>Told of every request to the bucket, if somebody watches.</summary>
    public ObjectRequestLog Requests => _parts.Requests;

    /// <summary>Makes the live side of an export over its committed map.</summary>
    public ExportDevice NewExport(ExportInfo info, CommittedMap map, Memtable memtable)
    {
        var export = new ExportDevice(info, map, memtable, Front, _reading);
        _exports[info.Id.Value] = export;
        return export;
    }

    /// <summary>The export or snapshot as the committed chain has it; null when it has none.</summary>
    public CommittedExport? Committed(ExportId id) => _opened.State.Find(id);

    /// <summary>Makes a device over the committed state alone: of a snapshot, a clone, or what was rolled back.</summary>
    public ExportDevice NewExport(CommittedExport export) => NewExport(export.Info, export.Map, new Memtable());

    /// <summary>The time that snapshots bear.</summary>
    public DateTimeOffset Now => _parts.Time.GetUtcNow();

    /// <summary>Makes the map of an export that is about to be created.</summary>
    public CommittedMap PrepareMap(ExportInfo info) => _opened.State.PrepareMap(info);

    /// <inheritdoc cref="BlockStore.ScrubAsync"/>
    public async Task<ScrubReport> ScrubAsync(
        ScrubOptions options, Action<ScrubProgress> progress, CancellationToken cancellation)
    {
        if (!await _scrubTurn.WaitAsync(TimeSpan.Zero, cancellation))
            throw new StorageFaultException(FaultKind.Conflict, "A scrub is under way already.");
        try
        {
            using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, Supervisor.Stopping);
            byte[] seed = new byte[sizeof(int)];
            _parts.Entropy.Fill(seed);
            var walker = new ChainWalker(_scrubStore, _opened.Keys, _opened.Codec, _parts.Loggers.CreateLogger("ZeroFlow.Store"));
            var scrubber = new Scrubber(
                _opened.State, _turn, _maintenance, walker, _scrubStore, _parts.Buffers, options, progress);
            ScrubReport report = await scrubber.RunAsync(new Random(BitConverter.ToInt32(seed)), both.Token);
            _scrubMeter.Count(report);
            return report;
        }
        catch (ObjectStoreException away)
        {
            throw new StorageFaultException(FaultKind.Unavailable, $"The scrub was not finished: {away.Message}", away);
        }
        finally
        {
            _scrubTurn.Release();
        }
    }

    public async Task<StopReport> StopAsync(TimeSpan timeout)
    {
        var closing = new StorageFaultException(FaultKind.Closing, "The store is closing.");
        Front.Close();
        _admission.Fault(closing);
        _journal.Complete();
        Task drained = DrainAsync();
        try
        {
            await drained.WaitAsync(timeout, _parts.Time);
        }
        catch (TimeoutException)
        {
            // What is left is in the WAL.
        }

        long left = _admission.DirtyBytes;
        Supervisor.Stop();
        await drained;
        await _maintenanceLoop;

        // Whoever still waits, waits for what this process does no more.
        _stable.Fault(closing);
        _published.Fault(closing);
        return new StopReport(left == 0, left);
    }

    public async ValueTask DisposeAsync()
    {
        if (!Supervisor.Stopping.IsCancellationRequested) await StopAsync(TimeSpan.Zero);
        _gate.Dispose();
        _cutter.Dispose();
        _maintenance.Dispose();
        _turn.Dispose();
        _scrubTurn.Dispose();
        await _frames.DisposeAsync();
        if (_diskCache is not null) await _diskCache.DisposeAsync();
        _reading.Memory.Clear();
        await _opened.Wal.DisposeAsync();
        Supervisor.Dispose();
    }

    private async Task DrainAsync()
    {
        await _journalLoop;
        _sync.Complete();
        await _syncLoop;
        SyncForTheLastTime();
        _cutter.Complete();
        await _cutLoop;
        _graph.Complete();
        await _graph.Completion;
    }

    private MaintenanceLoop NewMaintenance(
        StoreOptions options, StoreComponents parts, OpenedStore opened, RetryingObjectStore uploadStore,
        OwnershipProof proof, SettlePacer pacer, ILogger log)
    {
        StoreState state = opened.State;
        RetryingObjectStore checkpoints = uploadStore.For(ObjectPurpose.Checkpoint);
        var folder = new MapFolder(
            state.Tables, opened.Keys, opened.Codec, checkpoints, parts.Entropy, parts.Time, parts.Buffers, _diskCache);
        var fragmented = new FragmentedPages(options.TableBytes);
        var copies = new CheckpointCopies(checkpoints);
        RetryingObjectStore collected = uploadStore.For(ObjectPurpose.Collect);
        var chain = new ChainWalker(collected, opened.Keys, opened.Codec, log);
        var collector = new Collector(state, collected, chain, copies, proof, parts.Time, options, log);
        var checkpointer = new Checkpointer(
            state, _turn, folder, copies, collector, fragmented, opened.Keys, opened.Codec, checkpoints, parts.Entropy, parts.Time, options, log);
        var indexes = new TableReader(uploadStore.For(ObjectPurpose.Settle), opened.Keys, opened.Codec);
        var settler = new Settler(state, _turn, _cutter, pacer, fragmented, indexes, _frames, parts.Buffers, options, log);
        return new MaintenanceLoop(checkpointer, collector, settler, pacer, opened.Supervisor, parts.Time, parts.Metrics);
    }

    private static FrameDiskCache? OpenDiskCache(StoreOptions options, StoreComponents parts, ILogger log)
    {
        if (parts.CacheDirectory is not { } directory || options.DiskCacheBytes == 0) return null;
        var cache = new FrameDiskCacheOptions { Directory = directory, DiskBytes = options.DiskCacheBytes };
        return new FrameDiskCache(cache, parts.Buffers, parts.Time, log);
    }

    private void SyncForTheLastTime()
    {
        if (Supervisor.Cause is not null) return;
        Sequence point = _journal.Appended;
        try
        {
            _opened.Wal.Sync();
            _stable.AdvanceTo(point);
        }
        catch (Exception fault)
        {
            // The bucket may still take what the disk did not: the stop goes on.
            Supervisor.Fail("sync", fault);
        }
    }

    // Records may outlive their export; what they are cut into does not matter then.
    private int ChunkBytesOf(ExportId id) =>
        _exports.TryGetValue(id.Value, out ExportDevice? export) ? export.Info.ChunkBytes : Options.ChunkBytes;

    private int CompressionOf(ExportId id) =>
        _exports.TryGetValue(id.Value, out ExportDevice? export) && export.Info.CompressionLevel is { } own
            ? own
            : Options.CompressionLevel;
}
