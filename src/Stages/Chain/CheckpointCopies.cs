using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Chain;

/// <summary>
/// The second copies of the newest checkpoints, under keys that do not begin as theirs. Nothing is deleted that a
/// checkpoint lets go of before that checkpoint has its copy: whoever loses all checkpoints has lost nothing.
/// </summary>
/// <remarks>
/// A copy is stored after its checkpoint and deleted before it, so a copy without a checkpoint that is as new proves that
/// one was lost. Used by one loop at a time.
/// </remarks>
internal sealed class CheckpointCopies
{
    private const int Kept = 2;

    private readonly IObjectStore _objects;
    private readonly List<ChainPosition> _stored = [];
    private bool _hasListed;

    public CheckpointCopies(IObjectStore objects) => _objects = objects;

    /// <summary>The positions of all copies in the bucket.</summary>
    public static async Task<List<ChainPosition>> ListAsync(IObjectStore objects, CancellationToken cancellation)
    {
        var found = new List<ChainPosition>();
        await foreach (ObjectEntry entry in objects.ListAsync(ChainNames.CheckpointCopyPrefix, null, cancellation))
        {
            if (ChainNames.TryParseCheckpointCopy(entry.Key, out ChainPosition at)) found.Add(at);
        }

        return found;
    }

    /// <summary>Stores the copy of a checkpoint that is stored.</summary>
    public async Task StoreAsync(ChainPosition at, ReadOnlyMemory<byte> checkpoint, CancellationToken cancellation)
    {
        // A name that exists is this writer's own, from an attempt whose reply was lost.
        await _objects.TryCreateAsync(ChainNames.CheckpointCopy(at), checkpoint, cancellation);
        if (!_stored.Contains(at)) _stored.Add(at);
    }

    /// <summary>Makes sure that the checkpoint which a store was opened from has a copy, or a newer one has.</summary>
    /// <returns>False when it has none, because the checkpoint itself is gone.</returns>
    public async Task<bool> TryEnsureAsync(ChainPosition startedFrom, CancellationToken cancellation)
    {
        await ListOnceAsync(cancellation);
        if (startedFrom == default || _stored.Any(at => !(at < startedFrom))) return true;
        byte[]? checkpoint = await _objects.TryReadAsync(ChainNames.Checkpoint(startedFrom), Checkpoint.BytesMax, cancellation);
        if (checkpoint is null) return false;
        await StoreAsync(startedFrom, checkpoint, cancellation);
        return true;
    }

    /// <summary>Deletes all but the newest copies.</summary>
    public async Task DropOldAsync(CancellationToken cancellation)
    {
        await ListOnceAsync(cancellation);
        _stored.Sort();
        while (_stored.Count > Kept)
        {
            await _objects.DeleteAsync(ChainNames.CheckpointCopy(_stored[0]), cancellation);
            _stored.RemoveAt(0);
        }
    }

    // Once: what earlier writers left.
    private async Task ListOnceAsync(CancellationToken cancellation)
    {
        if (_hasListed) return;
        List<ChainPosition> found = await ListAsync(_objects, cancellation);
        _stored.AddRange(found.Except(_stored).ToList());
        _hasListed = true;
    }
}
