using System.Globalization;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// Reads the committed state of a store: the newest checkpoint, then the contiguous tables of its epoch up to a seal,
/// then those of the next epoch, and so on to the first number that does not exist. Reads only.
/// </summary>
internal sealed partial class ChainWalker
{
    // Index reads in flight while walking: opening after a crash waits for round trips, not for bandwidth.
    private const int ReadsInFlight = 32;

    // A walk starts over when garbage collection overtakes it; each time a newer checkpoint must exist.
    private const int RestartsMax = 8;

    private readonly IObjectStore _objects;
    private readonly StoreKeys _keys;
    private readonly IChunkCodec _codec;
    private readonly TableReader _reader;
    private readonly ILogger _log;

    public ChainWalker(IObjectStore objects, StoreKeys keys, IChunkCodec codec, ILogger log)
    {
        _objects = objects;
        _keys = keys;
        _codec = codec;
        _reader = new TableReader(objects, keys, codec);
        _log = log;
    }

    public TableReader Reader => _reader;

    /// <summary>Walks to the end of the chain as a listing shows it.</summary>
    /// <exception cref="StorageFaultException">
    /// Something that the walk needs was lost (kind Corrupt): what it found is not all that was committed.
    /// </exception>
    public async Task<StoreState> WalkAsync(CancellationToken cancellation)
    {
        ChainPosition? before = null;
        for (int attempt = 1; ; attempt++)
        {
            StoreState state = await LoadNewestCheckpointAsync(cancellation);
            try
            {
                if (await FollowAsync(state, cancellation) is not { } loss) return state;

                // A listing is of no one moment: what a living writer did meanwhile leads on when it is walked again.
                if (before == state.Position || attempt == RestartsMax) throw Lost(loss);
                before = state.Position;
                LogOvertaken(state.Position.ToString(), loss);
            }
            catch (ObjectStoreException gone) when (gone.Kind == ObjectStoreErrorKind.ObjectMissing && attempt < RestartsMax)
            {
                LogOvertaken(state.Position.ToString(), gone.Message);
            }
        }
    }

    /// <summary>Applies what the chain has behind a state.</summary>
    /// <returns>What shows that the chain went on behind the place where the walk ended; null when nothing does.</returns>
    public async Task<string?> FollowAsync(StoreState state, CancellationToken cancellation)
    {
        var seen = new ChainSightings();
        await ApplyListedAsync(state, seen, cancellation);
        return seen.WhatShowsMoreThan(state.Position) ??
               (state.StartedFrom == default ? await FindPagesBehindAsync(state, cancellation) : null);
    }

    /// <summary>Walks to the last table that was made by a moment. Writes nothing, and needs no writer.</summary>
    /// <exception cref="StorageFaultException">
    /// The store keeps nothing of that time any more (kind NotFound), or something that the walk needs was lost (Corrupt).
    /// </exception>
    public async Task<StoreState> WalkAsync(DateTimeOffset asOf, CancellationToken cancellation)
    {
        ChainPosition? below = null;
        ChainPosition? ended = null;
        for (int attempt = 1; ; attempt++)
        {
            ChainPosition? before = await FindCopiedCheckpointAsync(cancellation);
            StoreState state = await LoadCheckpointAsync(asOf, below, cancellation);
            var seen = new ChainSightings();
            bool isPast = await ApplyListedAsync(state, seen, cancellation, asOf.ToUnixTimeMilliseconds());

            // Where the walk ends without coming to something later, the chain ends; unless what came next has been deleted,
            // as only what lies behind a checkpoint is. A checkpoint that came while this walked proves nothing: what it
            // lies behind may have come with it.
            if (!isPast && before > state.Position) throw TooOld(asOf);
            if (!isPast && attempt < RestartsMax && await FindNewestCheckpointAsync(cancellation) > state.Position) continue;
            if (!isPast && seen.WhatShowsMoreThan(state.Position) is { } loss)
            {
                if (ended == state.Position || attempt >= RestartsMax) throw Lost(loss);
                ended = state.Position;
                continue;
            }

            if (await AreAllPresentAsync(state, cancellation)) return state;

            // A checkpoint that reached the bucket after its writer had been taken over lacks its pages soon; the one
            // before it leads to the same moment.
            if (state.StartedFrom == default) throw TooOld(asOf);
            below = state.StartedFrom;
        }
    }

    /// <summary>The position of the newest checkpoint, or null when there is none.</summary>
    public async Task<ChainPosition?> FindNewestCheckpointAsync(CancellationToken cancellation) =>
        NewestOf(await ListCheckpointsAsync(cancellation));

    /// <summary>The positions of all checkpoints.</summary>
    public async Task<List<ChainPosition>> ListCheckpointsAsync(CancellationToken cancellation)
    {
        var found = new List<ChainPosition>();
        await foreach (ObjectEntry entry in _objects.ListAsync(ChainNames.CheckpointPrefix, null, cancellation))
        {
            if (ChainNames.TryParseCheckpoint(entry.Key, out ChainPosition at)) found.Add(at);
            else LogForeign(entry.Key);
        }

        return found;
    }

    private async Task<StoreState> LoadNewestCheckpointAsync(CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            if (await FindCopiedCheckpointAsync(cancellation) is not { } at) return new StoreState(_keys.StoreId, _codec);
            byte[]? body = await _objects.TryReadAsync(ChainNames.Checkpoint(at), Checkpoint.BytesMax, cancellation);
            if (body is not null) return Checkpoint.Decode(body, at, _keys, _codec);

            // A living writer replaces its checkpoints: the one just listed may be gone, with a newer one in its place.
            if (attempt == RestartsMax)
                throw StorageFaultException.Corrupt($"The checkpoint {at} is listed in {_objects.Location} but cannot be read.");
        }
    }

    // The newest one; refuses a store that has a copy of a newer one. In this order: a copy is stored after its checkpoint.
    private async Task<ChainPosition?> FindCopiedCheckpointAsync(CancellationToken cancellation)
    {
        ChainPosition? copied = await FindNewestCopyAsync(cancellation);
        ChainPosition? newest = await FindNewestCheckpointAsync(cancellation);
        if (copied is { } copy && !(newest >= copy)) throw Lost($"there is a copy of a checkpoint at {copy}, and no such checkpoint");
        return newest;
    }

    /// <summary>Reads the second copy of the newest checkpoint. What is wrong with it; null for nothing.</summary>
    /// <exception cref="StorageFaultException">It does not open.</exception>
    public async Task<string?> CheckCopyAsync(CancellationToken cancellation)
    {
        ChainPosition? newest = await FindNewestCheckpointAsync(cancellation);
        if (newest is not { } at) return null;
        if (await FindNewestCopyAsync(cancellation) is not { } copied || copied < at) return $"The checkpoint {at} has no second copy.";
        byte[]? body = await _objects.TryReadAsync(ChainNames.CheckpointCopy(copied), Checkpoint.BytesMax, cancellation);
        if (body is null) return $"The second copy of the checkpoint {copied} is listed and cannot be read.";
        Checkpoint.Decode(body, copied, _keys, _codec);
        return null;
    }

    private async Task<ChainPosition?> FindNewestCopyAsync(CancellationToken cancellation) =>
        NewestOf(await CheckpointCopies.ListAsync(_objects, cancellation));

    private static ChainPosition? NewestOf(List<ChainPosition> found) => found.Count == 0 ? null : found.Max();

    // Pages of the map are made for a checkpoint. Without one, they are left of the first that ever was begun, as of a
    // table that is there; unless checkpoints, and the tables that they made superfluous, are gone.
    private async Task<string?> FindPagesBehindAsync(StoreState state, CancellationToken cancellation)
    {
        string? last = null;
        await foreach (ObjectEntry entry in _objects.ListAsync(ChainNames.MapPrefix, null, cancellation))
        {
            if (ChainNames.TryParseMapPages(entry.Key, out _)) last = entry.Key;
        }

        if (last is null) return null;
        byte[] head = new byte[TableIdentity.Bytes];
        await _objects.ReadRangeAsync(last, 0, head, cancellation);
        return TableIdentity.TryRead(head, out TableIdentity? identity) == ParseResult.Ok && identity!.LastSequence > state.LastSequence
            ? $"{last} was made as of sequence {identity.LastSequence}, and without a checkpoint the chain can be read up to {state.LastSequence} only"
            : null;
    }

    private StorageFaultException Lost(string evidence) => StorageFaultException.Corrupt(
        $"The store in {_objects.Location} was not opened, because objects are missing in it: {evidence}. Nothing was " +
        "changed. 'zeroflow rebuild' says what is missing, and restores checkpoints from their copies.");

    // The newest that was made by then; below another one, if that led nowhere.
    private async Task<StoreState> LoadCheckpointAsync(DateTimeOffset asOf, ChainPosition? below, CancellationToken cancellation)
    {
        List<ChainPosition> found = await ListCheckpointsAsync(cancellation);
        foreach (ChainPosition at in found.OrderDescending())
        {
            try
            {
                // What is none is for the decoder to name.
                if (below is { } limit && !(at < limit)) continue;
                if (await Checkpoint.ReadTimeAsync(_objects, at, cancellation) > asOf) continue;
                byte[]? body = await _objects.TryReadAsync(ChainNames.Checkpoint(at), Checkpoint.BytesMax, cancellation);
                if (body is not null) return Checkpoint.Decode(body, at, _keys, _codec);
            }
            catch (ObjectStoreException gone) when (gone.Kind == ObjectStoreErrorKind.ObjectMissing)
            {
                // Since it was listed: so is what only it needs.
            }
        }

        return new StoreState(_keys.StoreId, _codec);
    }

    // Beyond what is retained, tables go one by one: a store with holes is refused now, not when a read meets one.
    private async Task<bool> AreAllPresentAsync(StoreState state, CancellationToken cancellation)
    {
        var present = new HashSet<string>(StringComparer.Ordinal);
        foreach (string prefix in (string[])[ChainNames.ChainPrefix, ChainNames.MapPrefix])
        {
            await foreach (ObjectEntry entry in _objects.ListAsync(prefix, null, cancellation)) present.Add(entry.Key);
        }

        return state.Tables.All().All(entry => entry.Table.LiveBytes == 0 || present.Contains(entry.Table.ObjectKey));
    }

    private StorageFaultException TooOld(DateTimeOffset asOf) => new(
        FaultKind.NotFound,
        $"The store in {_objects.Location} does not keep what it was at {asOf:u} any more: it reaches back as far as the tuning key Retention says.");

    // True when it stopped at something that was made later than the given time.
    private async Task<bool> ApplyListedAsync(
        StoreState state, ChainSightings seen, CancellationToken cancellation, long untilUnixMs = long.MaxValue)
    {
        string after = ChainNames.Table(state.Position);
        var window = new Queue<(ChainPosition At, Task<ChainObject> Read)>();
        using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            ChainPosition predicted = state.Position.NextNumber;
            await foreach (ObjectEntry entry in _objects.ListAsync(ChainNames.ChainPrefix, after, cancellation))
            {
                if (!ChainNames.TryParseTable(entry.Key, out ChainPosition at))
                {
                    LogForeign(entry.Key);
                    continue;
                }

                seen.Add(at, entry.SizeBytes);

                // Only what can follow is read: the next number, or the first of the next epoch.
                if (at != predicted && at != predicted.NextEpoch.NextNumber) continue;
                predicted = at.NextNumber;
                if (window.Count == ReadsInFlight && await ApplyAsync(state, window.Dequeue(), untilUnixMs) is { } isLater) return isLater;
                window.Enqueue((at, _reader.ReadAsync(at, entry.SizeBytes, abandon.Token)));
            }

            while (window.TryDequeue(out var next))
            {
                if (await ApplyAsync(state, next, untilUnixMs) is { } isLater) return isLater;
            }

            return false;
        }
        finally
        {
            await abandon.CancelAsync();
            await Task.WhenAll(window.Select(w => w.Read)).ContinueWith(
                static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    // Null when the chain may go on behind this object; otherwise whether the object was too late.
    private async Task<bool?> ApplyAsync(
        StoreState state, (ChainPosition At, Task<ChainObject> Read) next, long untilUnixMs)
    {
        if (next.At != state.Position.NextNumber)
        {
            // Behind a seal lie the uploads of a fenced writer, which nobody reads: they are skipped, not the end.
            await next.Read.ContinueWith(
                static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            return next.At < state.Position.NextNumber ? null : false;
        }

        switch (await next.Read)
        {
            case ChainObject.Table table when table.CreatedUnixMs <= untilUnixMs:
                state.Apply(table.Info, table.Index, table.Session);
                return null;
            case ChainObject.Seal seal when seal.Identity.CreatedUnixMs <= untilUnixMs:
                state.EndEpoch(seal.Identity.Session);
                return null;
            case ChainObject.Table later when later.Info.FirstSequence != state.LastSequence.Next:
                // What lies in between has been deleted, and a seal that stands in the hole led around it.
                throw TooOld(DateTimeOffset.FromUnixTimeMilliseconds(untilUnixMs));
            case ChainObject.Table or ChainObject.Seal:
                return true;
            default:
                throw new InvalidOperationException(
                    string.Create(CultureInfo.InvariantCulture, $"Unknown chain object at {next.At}."));
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The walk over the chain from {Position} was overtaken by garbage collection ({Reason}) and starts over.")]
    private partial void LogOvertaken(string position, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The object {Key} does not belong to the chain; it is ignored.")]
    private partial void LogForeign(string key);
}
