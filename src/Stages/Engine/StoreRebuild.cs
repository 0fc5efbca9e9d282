using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Makes a store whose checkpoints were lost or damaged open again, with exactly the committed state, or says why that
/// cannot be. Offline: it takes nothing over; beside a server that works it does no harm, and finds nothing to do.
/// </summary>
/// <remarks>
/// <para>The committed state is a function of the chain. A checkpoint stands for the tables up to its own, of which those
/// that became superfluous are gone; so a state is exact if it begins at an authentic checkpoint, if the chain behind it
/// has no hole, and if it leads as far as every checkpoint that left a trace. Anything less could show old data as new,
/// and is refused. An object of data that is missing is no reason: what it held fails to be read, and is never something
/// older.</para>
/// <para>One object, one run.</para>
/// </remarks>
public sealed class StoreRebuild
{
    private readonly IObjectStore _objects;
    private readonly StoreKeys _keys;
    private readonly ChainWalker _walker;
    private readonly IChunkCodec _codec;
    private readonly Dictionary<string, long> _present = new(StringComparer.Ordinal);
    private readonly SortedDictionary<ChainPosition, Pair> _checkpoints = [];
    private readonly List<string> _problems = [];
    private readonly List<RebuildStep> _steps = [];

    private StoreRebuild(IObjectStore objects, StoreKeys keys, IChunkCodec codec, ILogger log)
    {
        _objects = objects;
        _keys = keys;
        _codec = codec;
        _walker = new ChainWalker(objects, keys, codec, log);
    }

    /// <summary>Looks at a store, and restores its checkpoints from their copies if it is told to.</summary>
    /// <param name="parts">What to read and write with.</param>
    /// <param name="applies">False changes nothing.</param>
    /// <param name="cancellation">Gives up. What was done so far does no harm.</param>
    /// <exception cref="StorageFaultException">There is no store, the passphrase is wrong, or the bucket does not answer.</exception>
    public static async Task<RebuildReport> RunAsync(ReadingComponents parts, bool applies, CancellationToken cancellation)
    {
        byte[] seed = new byte[sizeof(int)];
        parts.Entropy.Fill(seed);
        var objects = new RetryingObjectStore(
            new MeteredObjectStore(parts.Objects, parts.Metrics, parts.Time), RetryPolicy.ForOpening,
            new StoreHealth(parts.Time, parts.Loggers), parts.Time, new Random(BitConverter.ToInt32(seed)));
        try
        {
            StoreKeys keys = await StoreRecord.OpenAsync(objects, parts.Passphrase, cancellation);
            var rebuild = new StoreRebuild(objects, keys, ZstdCodec.Create(), parts.Loggers.CreateLogger("ZeroFlow.Store"));
            return await rebuild.RunAsync(applies, cancellation);
        }
        catch (ObjectStoreException refused)
        {
            throw new StorageFaultException(FaultKind.Unavailable, $"The store could not be looked at: {refused.Message}", refused);
        }
    }

    private async Task<RebuildReport> RunAsync(bool applies, CancellationToken cancellation)
    {
        // Checkpoints before what they need: a living server stores an object before the checkpoint that names it.
        await FindCheckpointsAsync(cancellation);
        foreach (string prefix in (string[])[ChainNames.ChainPrefix, ChainNames.MapPrefix])
        {
            await foreach (ObjectEntry entry in _objects.ListAsync(prefix, null, cancellation)) _present[entry.Key] = entry.SizeBytes;
        }

        foreach (var (at, pair) in _checkpoints.Reverse())
        {
            if (pair.Body is not { } body)
            {
                _problems.Add($"Checkpoint {at}: neither it nor a copy of it can be read.");
                continue;
            }

            StoreState state = Checkpoint.Decode(body, at, _keys, _codec);
            if (await TryFollowAsync(state, cancellation) is { } problem) _problems.Add($"Checkpoint {at}: {problem}");
            else return await RestoreAsync(at, state, applies, cancellation);
        }

        var empty = new StoreState(_keys.StoreId, _codec);
        if (await TryFollowAsync(empty, cancellation) is not { } hole) return await RestoreAsync(null, empty, applies, cancellation);
        _problems.Add($"Tables alone: {hole}.");
        return Report(RebuildOutcome.Lost, null, null);
    }

    private async Task FindCheckpointsAsync(CancellationToken cancellation)
    {
        // In this order: a copy is stored after its checkpoint.
        List<ChainPosition> copies = await CheckpointCopies.ListAsync(_objects, cancellation);
        List<ChainPosition> originals = await _walker.ListCheckpointsAsync(cancellation);
        foreach (ChainPosition at in originals.Concat(copies).Distinct())
        {
            var (original, body) = await ReadAsync(ChainNames.Checkpoint(at), at, originals.Contains(at), cancellation);
            var (copy, second) = await ReadAsync(ChainNames.CheckpointCopy(at), at, copies.Contains(at), cancellation);
            _checkpoints[at] = new Pair(original, copy, body ?? second);
        }
    }

    private async Task<(CheckpointHealth Health, byte[]? Body)> ReadAsync(
        string key, ChainPosition at, bool isListed, CancellationToken cancellation)
    {
        if (!isListed) return (CheckpointHealth.Missing, null);
        try
        {
            byte[]? body = await _objects.TryReadAsync(key, Checkpoint.BytesMax, cancellation);
            if (body is null) return (CheckpointHealth.Missing, null);
            Checkpoint.Decode(body, at, _keys, _codec);
            return (CheckpointHealth.Good, body);
        }
        catch (Exception fault) when (fault is StorageFaultException { Kind: FaultKind.Corrupt } or
                                          ObjectStoreException { Kind: ObjectStoreErrorKind.ShortBody or ObjectStoreErrorKind.Invalid })
        {
            return (CheckpointHealth.Damaged, null);
        }
    }

    // Walks from a checkpoint, or from nothing, to the end of the chain. What is wrong with that; null for nothing.
    private async Task<string?> TryFollowAsync(StoreState state, CancellationToken cancellation)
    {
        ChainPosition newest = _checkpoints.Keys.LastOrDefault();
        string[] missing =
        [
            .. state.Tables.All().Select(static entry => entry.Table)
                .Where(table => table.LiveBytes > 0 && _present.GetValueOrDefault(table.ObjectKey, -1) != table.ObjectBytes)
                .Select(static table => table.ObjectKey),
        ];
        if (missing.Length > 0)
        {
            string damage = $"{missing.Length} objects that it needs are missing or have another size, the first is {missing[0]}";
            if (state.StartedFrom < newest) return damage;
            _problems.Add($"{damage}: what they held cannot be read. 'zeroflow scrub' says which ranges that is.");
        }

        try
        {
            if (await _walker.FollowAsync(state, cancellation) is { } hole) return hole;
        }
        catch (Exception fault) when (fault is StorageFaultException { Kind: FaultKind.Corrupt } or
                                          ObjectStoreException { Kind: ObjectStoreErrorKind.ObjectMissing or ObjectStoreErrorKind.ShortBody })
        {
            return fault.Message;
        }

        return state.Position < newest ? $"the chain behind it ends at {state.Position}, and there was a checkpoint at {newest}" : null;
    }

    private async Task<RebuildReport> RestoreAsync(
        ChainPosition? from, StoreState state, bool applies, CancellationToken cancellation)
    {
        // What is good goes in before what is damaged goes away: whoever opens the store meanwhile is refused as before.
        if (from is { } at)
        {
            Pair pair = _checkpoints[at];
            await PutAsync(ChainNames.Checkpoint(at), pair.Original, pair.Body!, applies, cancellation);
            await PutAsync(ChainNames.CheckpointCopy(at), pair.Copy, pair.Body!, applies, cancellation);
        }

        foreach (var (newer, pair) in _checkpoints.Reverse().Where(found => !(from >= found.Key)))
        {
            if (pair.Copy != CheckpointHealth.Missing) await DeleteAsync(ChainNames.CheckpointCopy(newer), applies, cancellation);
            if (pair.Original != CheckpointHealth.Missing) await DeleteAsync(ChainNames.Checkpoint(newer), applies, cancellation);
        }

        RebuildOutcome outcome = _steps.Count == 0 ? RebuildOutcome.Whole : applies ? RebuildOutcome.Restored : RebuildOutcome.Restorable;
        return Report(outcome, from, state);
    }

    private async Task PutAsync(
        string key, CheckpointHealth health, byte[] body, bool applies, CancellationToken cancellation)
    {
        if (health == CheckpointHealth.Good) return;
        _steps.Add(new RebuildStep(health == CheckpointHealth.Missing ? "create" : "replace", key));
        if (!applies) return;
        if (health == CheckpointHealth.Missing) await _objects.TryCreateAsync(key, body, cancellation);
        else await _objects.WriteAsync(key, body, cancellation);
    }

    private async Task DeleteAsync(string key, bool applies, CancellationToken cancellation)
    {
        _steps.Add(new RebuildStep("delete", key));
        if (applies) await _objects.DeleteAsync(key, cancellation);
    }

    private RebuildReport Report(RebuildOutcome outcome, ChainPosition? from, StoreState? end) => new(
        outcome,
        [.. _checkpoints.Reverse().Select(static found => new RebuildCheckpoint(found.Key.ToString(), found.Value.Original, found.Value.Copy))],
        from?.ToString(),
        end?.TablesApplied ?? 0,
        end?.Position.ToString(),
        [.. (end?.Exports ?? []).Select(static export => new RebuiltExport(export.Info.Name, export.Info.SizeBytes))],
        _steps,
        _problems);

    private sealed record Pair(CheckpointHealth Original, CheckpointHealth Copy, byte[]? Body);
}
