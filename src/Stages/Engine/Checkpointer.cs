using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Writes checkpoints behind the commit stage and deletes what they make unnecessary: older checkpoints, and tables
/// that hold no live byte.
/// </summary>
/// <remarks>
/// A table is deleted only if it was dead in a committed state, that state's checkpoint is in the bucket, and the grace
/// period is over. What is dead in a committed state stays dead in every later one, so even the late deletes of a
/// fenced writer are harmless. Seals are never touched.
/// </remarks>
internal sealed partial class Checkpointer
{
    private const int CheckpointsKept = 2;

    private readonly StoreState _state;
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;
    private readonly IObjectStore _objects;
    private readonly IEntropy _entropy;
    private readonly TimeProvider _time;
    private readonly StoreOptions _options;
    private readonly StoreSupervisor _supervisor;
    private readonly ILogger _log;
    private readonly Queue<(long Since, int Ordinal)> _dying = new();
    private readonly HashSet<int> _doomed = [];
    private int _tablesSince;
    private long _bytesSince;
    private long _lastBytes;
    private Task _running = Task.CompletedTask;

    public Checkpointer(
        StoreState state, StoreKeys keys, IChunkCodec codec, IObjectStore objects, IEntropy entropy, TimeProvider time,
        StoreOptions options, StoreSupervisor supervisor, ILogger log)
    {
        _state = state;
        _tablesSince = state.TablesApplied;
        _keys = keys;
        _codec = codec;
        _objects = objects;
        _entropy = entropy;
        _time = time;
        _options = options;
        _supervisor = supervisor;
        _log = log;
    }

    /// <summary>The table of the newest stored checkpoint.</summary>
    public ChainPosition LastStored { get; private set; }

    /// <summary>
    /// Counts a committed table, and starts a checkpoint when it is time. Called by the commit stage, which is the
    /// state's only writer: encoding happens here, between two commits, so that it sees one state.
    /// </summary>
    public void TableCommitted(long objectBytes)
    {
        _tablesSince++;
        _bytesSince += objectBytes;

        // A large map is written less often than a small one: its checkpoints cost at most a fifth of the data's bytes.
        if (_tablesSince < _options.CheckpointTables || _bytesSince < 4 * _lastBytes || !_running.IsCompleted) return;
        _tablesSince = 0;
        _bytesSince = 0;
        if (TryEncode() is not { } body) return;
        ChainPosition at = _state.Position;
        int[] dead = [.. _state.Tables.All().Where(t => t.Table.LiveBytes == 0 && !_doomed.Contains(t.Ordinal)).Select(t => t.Ordinal)];
        _lastBytes = body.Length;
        _running = BackgroundLoop.Start(
            cancellation => StoreAsync(at, body, dead, cancellation), LogFailed, _supervisor.Stopping);
    }

    /// <summary>Completes when a checkpoint that is under way is stored or given up.</summary>
    public Task WhenIdleAsync() => _running;

    // Null when there can be no checkpoint now: the chain itself is whole without one, and nothing is deleted meanwhile.
    private ReadOnlyMemory<byte>? TryEncode()
    {
        byte[] salt = new byte[TableIdentity.SaltBytes];
        _entropy.Fill(salt);
        try
        {
            ReadOnlyMemory<byte> body = Checkpoint.Encode(
                _state, _keys, _codec, salt, _time.GetUtcNow().ToUnixTimeMilliseconds());
            if (body.Length <= Checkpoint.BytesMax) return body;
            LogTooLarge(body.Length, Checkpoint.BytesMax);
        }
        catch (Exception fault) when (fault is OverflowException or OutOfMemoryException)
        {
            LogFailed(fault);
        }

        return null;
    }

    private async Task StoreAsync(ChainPosition at, ReadOnlyMemory<byte> body, int[] dead, CancellationToken cancellation)
    {
        // A name that exists is this writer's own, from an attempt whose reply was lost: positions are never reused.
        await _objects.TryCreateAsync(ChainNames.Checkpoint(at), body, cancellation);
        LastStored = at;
        LogStored(at.ToString(), body.Length, dead.Length);
        long now = _time.GetTimestamp();
        foreach (int ordinal in dead)
        {
            if (_doomed.Add(ordinal)) _dying.Enqueue((now, ordinal));
        }

        await DeleteOldCheckpointsAsync(cancellation);
        await DeleteTablesAsync(cancellation);
    }

    private async Task DeleteOldCheckpointsAsync(CancellationToken cancellation)
    {
        var found = new List<ChainPosition>();
        await foreach (ObjectEntry entry in _objects.ListAsync(ChainNames.CheckpointPrefix, null, cancellation))
        {
            if (ChainNames.TryParseCheckpoint(entry.Key, out ChainPosition at)) found.Add(at);
        }

        found.Sort();
        foreach (ChainPosition old in found.SkipLast(CheckpointsKept))
            await _objects.DeleteAsync(ChainNames.Checkpoint(old), cancellation);
    }

    private async Task DeleteTablesAsync(CancellationToken cancellation)
    {
        while (_dying.TryPeek(out var next) && _time.GetElapsedTime(next.Since) >= _options.DeleteGrace)
        {
            // Verified once more right before the delete: a live byte here would be a bug that must not cost data.
            TableInfo table = _state.Tables[next.Ordinal]!;
            if (table.LiveBytes == 0)
            {
                await _objects.DeleteAsync(table.ObjectKey, cancellation);
                _state.Tables.Remove(next.Ordinal);
            }
            else
            {
                LogRevived(table.ObjectKey, table.LiveBytes);
            }

            _dying.Dequeue();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Checkpoint {Position} is stored ({Bytes} bytes); {Dead} more tables hold nothing live.")]
    private partial void LogStored(string position, int bytes, int dead);

    [LoggerMessage(Level = LogLevel.Error, Message = "The checkpoint would have {Bytes} bytes; more than {BytesMax} are not stored. Opening reads the chain from the last one instead.")]
    private partial void LogTooLarge(int bytes, int bytesMax);

    [LoggerMessage(Level = LogLevel.Error, Message = "A checkpoint could not be stored; the next one will be tried after more tables.")]
    private partial void LogFailed(Exception fault);

    [LoggerMessage(Level = LogLevel.Error, Message = "Table {Key} was counted dead but has {Bytes} live bytes; it is kept.")]
    private partial void LogRevived(string key, long bytes);
}
