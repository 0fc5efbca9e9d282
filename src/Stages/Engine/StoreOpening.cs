using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Opens a store for writing, step by step:
/// (a) the bucket honours create-if-absent; (b) the passphrase opens the keys; (c) a seal makes this process the writer;
/// (d) the local WAL is ours or is set aside; (e) what it holds beyond the chain is replayed; (f) the engine starts.
/// </summary>
internal sealed partial class StoreOpening
{
    private readonly StoreOptions _options;
    private readonly StoreComponents _parts;
    private readonly ILogger _log;
    private readonly StoreHealth _health;
    private readonly ByteBudget _dirtyMemory;
    private readonly Dictionary<uint, Memtable> _memtables = [];
    private readonly Dictionary<uint, ExportInfo> _journaledExports = [];
    private readonly List<WriteRecord> _replayed = [];
    private uint _lastExport;
    private bool _forks;

    public StoreOpening(StoreOptions options, StoreComponents parts)
    {
        _options = options;
        _parts = parts;
        _log = parts.Loggers.CreateLogger("ZeroFlow.Store");
        _health = new StoreHealth(parts.Time, parts.Loggers);
        _health.ObserveIn(parts.Metrics.Meter);
        _dirtyMemory = new ByteBudget(options.DirtyMemoryBytes);
    }

    public async Task<BlockStore> RunAsync(CancellationToken cancellation)
    {
        try
        {
            var metered = new MeteredObjectStore(_parts.Objects, _parts.Metrics, _parts.Time);
            return await OpenAsync(
                new RetryingObjectStore(
                    metered, RetryPolicy.ForOpening, _health, _parts.Time, NewRandom(), _parts.Requests),
                cancellation);
        }
        catch (ObjectStoreException refused)
        {
            FaultKind kind = refused.Kind == ObjectStoreErrorKind.Denied ? FaultKind.Denied : FaultKind.Unavailable;
            throw new StorageFaultException(kind, $"The store cannot be opened: {refused.Message}", refused);
        }
    }

    private async Task<BlockStore> OpenAsync(RetryingObjectStore objects, CancellationToken cancellation)
    {
        IChunkCodec codec = ZstdCodec.Create();
        await ConditionalWriteProbe.VerifyAsync(objects, NewRandom(), cancellation);
        StoreKeys keys = await StoreRecord.OpenOrCreateAsync(
            objects, _parts.Passphrase, _parts.NewStoreKdf, _parts.Entropy, _parts.Time, cancellation);

        var walker = new ChainWalker(objects, keys, codec, _log);
        var session = new Guid(RandomBytes(16));
        WalTerm? term = ReadTerm(keys);
        var takeover = new Takeover(objects, keys, walker, _parts.Entropy, _parts.Time, _log);
        TakeoverResult taken = await takeover.RunAsync(
            session, (ended, epoch) => term = RecordIntent(keys, term, ended, new WriterTerm(epoch, session)), cancellation);

        StoreState state = taken.State;
        foreach (CommittedExport export in state.Exports) _memtables[export.Info.Id.Value] = new Memtable();
        if (!Continues(term, taken)) SetStaleWalAside(term, taken);
        WriteAheadLog wal = OpenWal(keys, state);
        try
        {
            return await StartAsync(
                new OpenedStore(
                    keys, codec, state, walker, session, wal, _replayed, LastSequence(state), _dirtyMemory, objects, _health,
                    new StoreSupervisor(_log)),
                cancellation);
        }
        catch
        {
            await wal.DisposeAsync();
            throw;
        }
    }

    private async Task<BlockStore> StartAsync(OpenedStore opened, CancellationToken cancellation)
    {
        StoreState state = opened.State;
        WalTermFile.Write(
            _parts.WalDisk, new WalTerm(opened.Keys.StoreId, [new WriterTerm(state.Position.Epoch, opened.Session)]));
        await opened.Wal.StartEpochAsync(
            state.Position.Epoch, opened.Session, state.Position.Number + 1, cancellation);
        if (_replayed.Count > 0) LogReplayed(_replayed.Count, _replayed.Sum(r => (long)r.WalBytes));
        var runtime = new StoreRuntime(_options, _parts, opened);
        try
        {
            if (_forks) await PublishReplayedAsync(runtime, cancellation);
            var exports = new ExportCatalog(runtime, LiveExports(state, runtime), LastExport(state), _log);
            if (!_forks) runtime.Start();
            var store = new BlockStore(runtime, exports);
            StoreGauges.RegisterExports(_parts.Metrics.Meter, store);
            return store;
        }
        catch
        {
            await runtime.DisposeAsync();
            throw;
        }
    }

    // What begins as a copy of something else is told from the committed map only.
    private async Task PublishReplayedAsync(StoreRuntime runtime, CancellationToken cancellation)
    {
        runtime.Start();
        await runtime.Front.FlushAsync(DurabilityLevel.Published, cancellation);
        _journaledExports.Clear();
        _memtables.Clear();
    }

    private ExportId LastExport(StoreState state) => new(Math.Max(_lastExport, state.LastExportId.Value));

    private Sequence LastSequence(StoreState state) =>
        _replayed.Count > 0 ? _replayed[^1].Header.Sequence : state.LastSequence;

    private WalTerm? ReadTerm(StoreKeys keys)
    {
        WalTerm? term = WalTermFile.Read(_parts.WalDisk);
        if (term is not null && term.StoreId != keys.StoreId)
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                $"The directory {_parts.WalDisk.Location} holds the WAL of another store ({term.StoreId}); give this store a data directory of its own.");
        }

        return term;
    }

    // Noted before the seal is put: after a crash between the two, the seal in the bucket names this session, and the
    // WAL can prove that it still is the writer's. Only a WAL that continues the epoch which is being ended may note it:
    // a stale one would turn itself into the store's own. A takeover that starts over meets the seal that it put itself, so
    // each intent builds on the one before.
    private WalTerm? RecordIntent(StoreKeys keys, WalTerm? term, WriterTerm ended, WriterTerm next)
    {
        bool continues = term?.Terms.Contains(ended) ?? WalReplay.SegmentFiles(_parts.WalDisk).Count == 0;
        if (!continues || term?.Terms.Contains(next) == true) return term;
        var noted = new WalTerm(keys.StoreId, [.. term?.Terms ?? [], next]);
        WalTermFile.Write(_parts.WalDisk, noted);
        return noted;
    }

    // The WAL continues the chain if whoever wrote the epoch that our seal ended was the WAL's own writer.
    private static bool Continues(WalTerm? term, TakeoverResult taken) =>
        term is not null && term.Terms.Contains(new WriterTerm(taken.EndedEpoch, taken.EndedSession));

    private void SetStaleWalAside(WalTerm? term, TakeoverResult taken)
    {
        IReadOnlyList<string> segments = WalReplay.SegmentFiles(_parts.WalDisk);
        if (segments.Count == 0) return;
        string place = _parts.WalDisk.SetAside(segments, $"stale-epoch-{taken.EndedEpoch + 1}");
        LogStale(term is { Terms.Count: > 0 } ? term.Terms[^1].Epoch : 0, taken.EndedSession, place);
    }

    private WriteAheadLog OpenWal(StoreKeys keys, StoreState state)
    {
        var wal = new WriteAheadLog(
            _parts.WalDisk, keys.WalRootKey, keys.StoreId, _options, _parts.Time, _parts.Entropy, _log);
        wal.Replay(state.LastSequence, (in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload) =>
            Replay(state, wal, header, position, payload));
        return wal;
    }

    private void Replay(
        StoreState state, WriteAheadLog wal, in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload)
    {
        byte[]? change = header.Kind == WalRecordKind.Catalog ? payload.ToArray() : null;
        if (change is not null) Apply(state, CatalogChange.Decode(change));
        Memtable? memtable = null;
        bool isKnown = header.Export.Value <= LastExport(state).Value;
        if (change is null && !_memtables.TryGetValue(header.Export.Value, out memtable) && !isKnown)
            throw StorageFaultException.Corrupt($"The WAL holds a write (sequence {header.Sequence}) to export {header.Export}, which is not there.");

        BufferLease? kept = null;
        if (header.Kind == WalRecordKind.Data && _dirtyMemory.TryTake(BufferPool.CapacityFor(payload.Length)))
        {
            kept = _parts.Buffers.Rent(payload.Length);
            payload.CopyTo(kept.Span);
        }

        var record = new WriteRecord(
            header, position, _parts.Time.GetTimestamp(), kept, 0, _dirtyMemory)
        {
            MemoryBytes = kept?.Capacity ?? 0,
            CatalogChange = change,
            Memtable = memtable,
            WalBytes = wal.RecordBytes(payload.Length),
        };
        memtable?.Insert(record);
        _replayed.Add(record);
    }

    private void Apply(StoreState state, CatalogChange change)
    {
        switch (change)
        {
            case CatalogChange.CreateExport create:
                _lastExport = Math.Max(_lastExport, create.Id);
                _memtables[create.Id] = new Memtable();
                _journaledExports[create.Id] = create.ToInfo();
                break;
            case CatalogChange.ExportChange alter:
                ExportInfo? info = _journaledExports.GetValueOrDefault(alter.Id) ?? state.Find(new ExportId(alter.Id))?.Info;
                if (info is not null) _journaledExports[alter.Id] = alter.ApplyTo(info);
                _forks |= alter is CatalogChange.AlterExport { Name: not null };
                break;
            default:
                // Snapshots, clones, rollbacks and deletions: what they leave is known once they are committed. So are the
                // names of snapshots whose export was renamed.
                _forks = true;
                break;
        }
    }

    private IEnumerable<ExportDevice> LiveExports(StoreState state, StoreRuntime runtime)
    {
        var infos = state.Exports.ToDictionary(e => e.Info.Id.Value, e => e.Info);
        foreach (var (id, info) in _journaledExports) infos[id] = info;
        foreach (var (id, info) in infos)
            yield return runtime.NewExport(
                info, state.Find(info.Id)?.Map ?? state.PrepareMap(info), _memtables.GetValueOrDefault(id) ?? new Memtable());
    }

    private byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        _parts.Entropy.Fill(bytes);
        return bytes;
    }

    private Random NewRandom() => new(BitConverter.ToInt32(RandomBytes(4)));

    [LoggerMessage(Level = LogLevel.Information, Message = "Replayed {Records} records ({Bytes} bytes) from the WAL; they go to the bucket now.")]
    private partial void LogReplayed(int records, long bytes);

    [LoggerMessage(Level = LogLevel.Error, Message = "The local WAL (epoch {Epoch}) is stale: another server (session {Session}) took the store over since. It is not replayed; its files are kept in {Place}.")]
    private partial void LogStale(uint epoch, Guid session, string place);
}
