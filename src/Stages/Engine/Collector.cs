using Microsoft.Extensions.Logging;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Gives space back: deletes objects without a live byte, older checkpoints, and what crashed writers left behind.
/// </summary>
/// <remarks>
/// An object goes only if it was dead in a committed state, that state's checkpoint is in the bucket, and the grace
/// period is over. A past that is retained is nothing but a longer grace period: a moment within it lies behind a
/// checkpoint that is kept, and nothing that was alive then has been dead for that long. A table that is dead in a
/// committed state stays dead in every later one, so even the late deletes of a fenced writer are harmless. A page of the
/// map is dead only to who starts from the newer checkpoint, so before anything is deleted the writer proves that it still
/// owns the store. Seals are never touched. Used by the maintenance loop alone.
/// </remarks>
internal sealed partial class Collector
{
    private const int CheckpointsKept = 2;

    private readonly StoreState _state;
    private readonly IObjectStore _objects;
    private readonly ChainWalker _chain;
    private readonly CheckpointCopies _copies;
    private readonly OwnershipProof _proof;
    private readonly TimeProvider _time;
    private readonly StoreOptions _options;
    private readonly ILogger _log;
    private readonly Queue<(long Since, int Ordinal)> _dying = new();
    private readonly Queue<(long Since, string Key)> _orphans = new();
    private readonly Dictionary<ChainPosition, DateTimeOffset> _checkpointTimes = [];
    private bool _checkpointsAreDue;
    private bool _hasSwept;
    private bool _isCopied;

    public Collector(
        StoreState state, IObjectStore objects, ChainWalker chain, CheckpointCopies copies, OwnershipProof proof, TimeProvider time,
        StoreOptions options, ILogger log)
    {
        _chain = chain;
        _copies = copies;
        _proof = proof;
        _state = state;
        _objects = objects;
        _time = time;
        _options = options;
        _log = log;
    }

    /// <summary>Objects that wait for their grace period to end.</summary>
    public int DyingCount => _dying.Count + _orphans.Count;

    /// <summary>When the next object may go; infinite when none waits.</summary>
    public TimeSpan NextIn
    {
        get
        {
            if (_checkpointsAreDue) return TimeSpan.Zero;
            TimeSpan next = Timeout.InfiniteTimeSpan;
            if (_dying.TryPeek(out var table)) next = Left(table.Since, TableGrace);
            if (_orphans.TryPeek(out var orphan) && Left(orphan.Since, _options.DeleteGrace) is var left &&
                (next == Timeout.InfiniteTimeSpan || left < next))
                next = left;
            return next;
        }
    }

    /// <summary>A checkpoint is stored and installed: what it does not need dies.</summary>
    /// <param name="lastOrdinal">Tables up to here are part of its state.</param>
    /// <param name="pageObjects">Objects that were made for it.</param>
    public void CheckpointStored(int lastOrdinal, IReadOnlySet<int> pageObjects)
    {
        DoomTheDead(ordinal => ordinal <= lastOrdinal || pageObjects.Contains(ordinal));
        _checkpointsAreDue = true;
    }

    /// <summary>
    /// What was dead as of the checkpoint that the store was opened from: its writer may not have come to delete it.
    /// </summary>
    public void Opened() => DoomTheDead(ordinal => ordinal <= _state.StartedFromOrdinal);

    /// <summary>Deletes what may go now.</summary>
    /// <returns>False when the bucket did not let it; what is left is tried again.</returns>
    public async Task<bool> TryRunAsync(CancellationToken cancellation)
    {
        try
        {
            if (await RunAsync(cancellation)) return true;
            LogNoCopy();
            return false;
        }
        catch (ObjectStoreException fault)
        {
            LogFailed(fault);
            return false;
        }
    }

    // False when everything has to wait for a checkpoint that is there twice.
    private async Task<bool> RunAsync(CancellationToken cancellation)
    {
        if (!_isCopied && !(_isCopied = await _copies.TryEnsureAsync(_state.StartedFrom, cancellation))) return false;
        if (_checkpointsAreDue)
        {
            await DeleteOldCheckpointsAsync(cancellation);
            if (!_hasSwept) await SweepAsync(cancellation);
            _hasSwept = true;
            _checkpointsAreDue = false;
        }

        await DeleteTablesAsync(cancellation);
        // A successor may have started from a checkpoint that came late, whose pages only look like orphans from here.
        if (_orphans.TryPeek(out var first) && Left(first.Since, _options.DeleteGrace) == TimeSpan.Zero) await _proof.RunAsync(cancellation);
        while (_orphans.TryPeek(out var orphan) && Left(orphan.Since, _options.DeleteGrace) == TimeSpan.Zero)
        {
            await _objects.DeleteAsync(orphan.Key, cancellation);
            _orphans.Dequeue();
        }

        return true;
    }

    private void DoomTheDead(Func<int, bool> isCounted)
    {
        long now = _time.GetTimestamp();
        foreach (var (ordinal, table) in _state.Tables.All())
        {
            if (table.LiveBytes != 0 || table.IsDying || !isCounted(ordinal)) continue;
            table.Doom();
            _dying.Enqueue((now, ordinal));
        }
    }

    private TimeSpan TableGrace => _options.Retention > _options.DeleteGrace ? _options.Retention : _options.DeleteGrace;

    private TimeSpan Left(long since, TimeSpan grace)
    {
        TimeSpan left = grace - _time.GetElapsedTime(since);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    private bool IsOver(long since) => Left(since, TableGrace) == TimeSpan.Zero;

    private async Task DeleteOldCheckpointsAsync(CancellationToken cancellation)
    {
        await _copies.DropOldAsync(cancellation);
        List<ChainPosition> found = await _chain.ListCheckpointsAsync(cancellation);

        // Every moment that is retained needs the last checkpoint before it.
        found.Sort();
        DateTimeOffset from = _time.GetUtcNow() - _options.Retention;
        bool reachesBack = false;
        for (int i = found.Count - 1, kept = 0; i >= 0; i--)
        {
            if (IsNobodys(found[i]) || (kept >= CheckpointsKept && reachesBack))
            {
                await _objects.DeleteAsync(ChainNames.Checkpoint(found[i]), cancellation);
                _checkpointTimes.Remove(found[i]);
                continue;
            }

            kept++;
            reachesBack = reachesBack || _options.Retention == TimeSpan.Zero || await TimeOfAsync(found[i], cancellation) <= from;
        }
    }

    // Of a writer that was taken over, and newer than what this one started from: it came late. Nobody starts from it now
    // that there are newer ones, and the pages that were made for it are known to nobody, and go.
    private bool IsNobodys(ChainPosition checkpoint) =>
        checkpoint.Epoch < _state.Position.Epoch && checkpoint > _state.StartedFrom;

    // What cannot be read is no end of the past.
    private async Task<DateTimeOffset> TimeOfAsync(ChainPosition checkpoint, CancellationToken cancellation)
    {
        if (_checkpointTimes.TryGetValue(checkpoint, out DateTimeOffset known)) return known;
        return _checkpointTimes[checkpoint] =
            await Checkpoint.ReadTimeAsync(_objects, checkpoint, cancellation) ?? DateTimeOffset.MaxValue;
    }

    private async Task DeleteTablesAsync(CancellationToken cancellation)
    {
        // A successor may have started from an older checkpoint, whose pages are not dead to it. If its seal stands, the
        // proof fails; if it comes after the proof, the successor finds the checkpoint that let these objects die.
        if (_dying.TryPeek(out var first) && IsOver(first.Since)) await _proof.RunAsync(cancellation);
        while (_dying.TryPeek(out var next) && IsOver(next.Since))
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

    // Once in a process: tables behind the seals of earlier epochs, and pages that no checkpoint came to name. The newest
    // checkpoint, which is this writer's own, knows every object of earlier epochs that counts.
    private async Task SweepAsync(CancellationToken cancellation)
    {
        var known = _state.Tables.All().Select(t => t.Table.ObjectKey).ToHashSet(StringComparer.Ordinal);
        long now = _time.GetTimestamp();
        uint epoch = _state.Position.Epoch;
        foreach (string prefix in (string[])[ChainNames.ChainPrefix, ChainNames.MapPrefix])
        {
            await foreach (ObjectEntry entry in _objects.ListAsync(prefix, null, cancellation))
            {
                bool isOurs = ChainNames.TryParseTable(entry.Key, out ChainPosition at) ||
                              ChainNames.TryParseMapPages(entry.Key, out at);
                if (!isOurs || at.Epoch >= epoch || known.Contains(entry.Key) || entry.SizeBytes == SealObject.Bytes) continue;
                _orphans.Enqueue((now, entry.Key));
            }
        }

        if (_orphans.Count > 0) LogOrphans(_orphans.Count);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} objects that earlier writers left behind are not part of the store; they go after the grace period.")]
    private partial void LogOrphans(int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Objects that nothing needs any more could not be deleted; it will be tried again.")]
    private partial void LogFailed(Exception fault);

    [LoggerMessage(Level = LogLevel.Error, Message = "The checkpoint that the store was opened from is gone from the bucket. Nothing is deleted until the next one is stored.")]
    private partial void LogNoCopy();

    [LoggerMessage(Level = LogLevel.Error, Message = "Table {Key} was counted dead but has {Bytes} live bytes; it is kept. Run zeroflow scrub --repair, and report it: this should not happen.")]
    private partial void LogRevived(string key, long bytes);
}
