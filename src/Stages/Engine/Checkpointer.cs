using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Writes checkpoints behind the commit stage: folds what has changed in the maps into stored pages, stores a root that
/// names them, and hands what nothing needs any more to the collector.
/// </summary>
/// <remarks>
/// Commits go on meanwhile, above the frozen state. A failed attempt goes on where it stopped: once a root may be in the
/// bucket, it is the one that counts, byte for byte.
/// </remarks>
internal sealed partial class Checkpointer
{
    private readonly StoreState _state;
    private readonly CommitTurn _turn;
    private readonly MapFolder _folder;
    private readonly CheckpointCopies _copies;
    private readonly Collector _collector;
    private readonly FragmentedPages _fragmented;
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;
    private readonly IObjectStore _objects;
    private readonly IEntropy _entropy;
    private readonly TimeProvider _time;
    private readonly StoreOptions _options;
    private readonly ILogger _log;
    private FrozenState? _frozen;
    private FoldedMap? _folded;
    private ReadOnlyMemory<byte> _root;
    private int _tablesSince;
    private long _bytesSince;
    private long _lastBytes;
    private long _lastCommit;
    private int _failures;

    public Checkpointer(
        StoreState state, CommitTurn turn, MapFolder folder, CheckpointCopies copies, Collector collector,
        FragmentedPages fragmented, StoreKeys keys, IChunkCodec codec, IObjectStore objects, IEntropy entropy, TimeProvider time, StoreOptions options, ILogger log)
    {
        _state = state;
        _turn = turn;
        _folder = folder;
        _copies = copies;
        _fragmented = fragmented;
        _collector = collector;
        _tablesSince = state.TablesApplied;
        _keys = keys;
        _codec = codec;
        _objects = objects;
        _entropy = entropy;
        _time = time;
        _options = options;
        _log = log;
        _lastCommit = time.GetTimestamp();
    }

    /// <summary>The table of the newest stored checkpoint.</summary>
    public ChainPosition LastStored { get; private set; }

    /// <summary>True while one is begun and not installed.</summary>
    public bool IsUnderWay => _frozen is not null;

    /// <summary>True when a checkpoint is worth its cost, or the changes in memory take too much room.</summary>
    public bool IsDue
    {
        get
        {
            if (_frozen is not null) return true;
            int tables = Volatile.Read(ref _tablesSince);
            if (tables == 0) return false;
            if (_state.Pages.ChangedBytes > _options.MapBytes / 4) return true;

            if (IdleIn == TimeSpan.Zero) return true;

            // What a checkpoint costs is at most a fifth of the data's bytes, whatever the size of the store.
            return tables >= _options.CheckpointTables && Volatile.Read(ref _bytesSince) >= 4 * _lastBytes;
        }
    }

    /// <summary>
    /// When the writes of the last burst are old enough for a checkpoint of their own; infinite when there were none.
    /// </summary>
    public TimeSpan IdleIn
    {
        get
        {
            if (Volatile.Read(ref _tablesSince) == 0) return Timeout.InfiniteTimeSpan;
            TimeSpan left = _options.CheckpointIdle - _time.GetElapsedTime(Volatile.Read(ref _lastCommit));
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    /// <summary>
    /// True when commits have to wait for a checkpoint, because the changes in memory have reached their bound. A
    /// checkpoint that fails holds nobody up: memory is the smaller evil.
    /// </summary>
    public bool HoldsCommits =>
        _state.Pages.ChangedBytes > _options.MapBytes / 2 && Volatile.Read(ref _failures) == 0;

    /// <summary>Counts a committed table. Called by the commit stage.</summary>
    public void TableCommitted(long objectBytes)
    {
        Interlocked.Increment(ref _tablesSince);
        Interlocked.Add(ref _bytesSince, objectBytes);
        Volatile.Write(ref _lastCommit, _time.GetTimestamp());
    }

    /// <summary>Writes a checkpoint, or goes on with the one that could not be finished.</summary>
    /// <returns>False when it failed; the chain itself is whole without it, and nothing is deleted meanwhile.</returns>
    public async Task<bool> TryRunAsync(CancellationToken cancellation)
    {
        try
        {
            await RunAsync(cancellation);
            Volatile.Write(ref _failures, 0);
            return true;
        }
        catch (Exception fault) when (!cancellation.IsCancellationRequested)
        {
            Interlocked.Increment(ref _failures);
            LogFailed(fault);
            return false;
        }
    }

    private async Task RunAsync(CancellationToken cancellation)
    {
        if (_frozen is null)
        {
            HashSet<int> sparse = _folder.SparseObjects();
            using (await _turn.TakeAsync(cancellation))
            {
                _frozen = _state.Freeze(sparse);
                Volatile.Write(ref _tablesSince, 0);
                Volatile.Write(ref _bytesSince, 0);
            }
        }

        FrozenState frozen = _frozen;
        if (_folded is null)
        {
            FoldedMap made = await _folder.FoldAsync(frozen, cancellation);
            byte[] salt = new byte[TableIdentity.SaltBytes];
            _entropy.Fill(salt);
            _root = Checkpoint.Encode(
                frozen, made, _state.Tables, _keys, _codec, salt, _time.GetUtcNow().ToUnixTimeMilliseconds());
            _folded = made;
        }

        FoldedMap folded = _folded;
        if (_root.Length > Checkpoint.BytesMax)
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                $"The checkpoint's root would have {_root.Length} bytes; more than {Checkpoint.BytesMax} are not stored.");
        }

        // A name that exists is this writer's own, from an attempt whose reply was lost: positions are never reused.
        await _objects.TryCreateAsync(ChainNames.Checkpoint(frozen.Position), _root, cancellation);
        await _copies.StoreAsync(frozen.Position, _root, cancellation);
        LastStored = frozen.Position;
        _fragmented.Note(folded.Pages);
        _state.Install(folded);
        frozen.Drop();
        _lastBytes = (2L * _root.Length) + folded.Bytes;
        LogStored(frozen.Position.ToString(), _root.Length, folded.Pages.Count, folded.Bytes);
        _frozen = null;
        _folded = null;
        _root = default;
        _collector.CheckpointStored(frozen.LastOrdinal, folded.Objects);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Checkpoint {Position} is stored: a root of {RootBytes} bytes, and {Pages} changed pages in {PageBytes} bytes.")]
    private partial void LogStored(string position, int rootBytes, int pages, long pageBytes);

    [LoggerMessage(Level = LogLevel.Error, Message = "A checkpoint could not be stored; it will be tried again. Until then opening takes longer, and no space comes back.")]
    private partial void LogFailed(Exception fault);
}
