using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>Shows from the bucket that no other server ended this writer's epoch.</summary>
internal sealed class OwnershipProof
{
    private readonly IObjectStore _objects;
    private readonly ChainWalker _walker;
    private readonly Guid _session;
    private readonly Func<ChainPosition> _committed;

    /// <param name="objects">A store that retries until it has an answer.</param>
    /// <param name="walker">Reads what stands in the chain.</param>
    /// <param name="session">This writer's term.</param>
    /// <param name="committed">The last table known to be committed.</param>
    public OwnershipProof(IObjectStore objects, ChainWalker walker, Guid session, Func<ChainPosition> committed)
    {
        _objects = objects;
        _walker = walker;
        _session = session;
        _committed = committed;
    }

    /// <summary>
    /// Completes when the first free number of this epoch was seen to be free, and no checkpoint stands behind it. A
    /// takeover puts its seal at exactly that number; and only what a checkpoint covers is ever deleted, so a free
    /// number that no checkpoint has passed was never taken.
    /// </summary>
    /// <exception cref="StorageFaultException">Another server owns the store (kind Fenced).</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        ChainPosition at = _committed().NextNumber;
        while (await _walker.Reader.TryReadAsync(at, cancellation) is { } found)
        {
            switch (found)
            {
                case ChainObject.Seal seal:
                    throw FencedBy(seal.Identity, at, _objects.Location);
                case ChainObject.Table table when table.Session != _session:
                    throw StorageFaultException.Fenced(
                        $"Another server wrote {ChainNames.Table(at)} in {_objects.Location}: this server is fenced and stops.");
            }

            // A busy writer's own tables would be read one by one for ever: what was committed meanwhile is proven.
            at = at.NextNumber;
            if (_committed().NextNumber is var next && at < next) at = next;
        }

        // The tables that this server uploaded last, and has not yet seen committed, may have been committed, superseded
        // and deleted by its successor: then their names are free again, and the seal stands behind them.
        if (await _walker.FindNewestCheckpointAsync(cancellation) is { } newest && !(newest < at))
        {
            throw StorageFaultException.Fenced(
                $"The store in {_objects.Location} has a checkpoint at {newest} that this server did not write: another " +
                "server took over, and this one is fenced and stops.");
        }
    }

    /// <summary>The one sentence for a fenced server.</summary>
    public static StorageFaultException FencedBy(TableIdentity identity, ChainPosition at, string location) =>
        StorageFaultException.Fenced(
            $"Another server (session {identity.Session}) took over the store in {location} at {ChainNames.Table(at)}: " +
            "this server is fenced and stops. What it had not published stays in its WAL and is not part of the store.");
}
