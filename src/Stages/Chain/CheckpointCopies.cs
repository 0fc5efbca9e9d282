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
        await ListAsync(cancellation);
        if (startedFrom == default || _stored.Any(at => !(at < startedFrom))) return true;
        byte[]? checkpoint = await _objects.TryReadAsync(ChainNames.Checkpoint(startedFrom), Checkpoint.BytesMax, cancellation);
        if (checkpoint is null) return false;
        await StoreAsync(startedFrom, checkpoint, cancellation);
        return true;
    }

    /// <summary>Deletes all but the newest copies.</summary>
    public async Task DropOldAsync(CancellationToken cancellation)
    {
        await ListAsync(cancellation);
        _stored.Sort();
        while (_stored.Count > Kept)
        {
            await _objects.DeleteAsync(ChainNames.CheckpointCopy(_stored[0]), cancellation);
            _stored.RemoveAt(0);
        }
    }

    // Once: what earlier writers left.
    private async Task ListAsync(CancellationToken cancellation)
    {
        if (_hasListed) return;
        var found = new List<ChainPosition>();
        await foreach (ObjectEntry entry in _objects.ListAsync(ChainNames.CheckpointCopyPrefix, null, cancellation))
        {
            if (ChainNames.TryParseCheckpointCopy(entry.Key, out ChainPosition at) && !_stored.Contains(at)) found.Add(at);
        }

        _stored.AddRange(found);
        _hasListed = true;
    }
}
