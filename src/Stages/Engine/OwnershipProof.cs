using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>Shows from the bucket that no other server ended this writer's epoch.</summary>
internal sealed class OwnershipProof
{
    private readonly IObjectStore _objects;
    private readonly TableReader _reader;
    private readonly Guid _session;
    private readonly Func<ChainPosition> _committed;

    /// <param name="objects">A store that retries until it has an answer.</param>
    /// <param name="reader">Reads what stands in the chain.</param>
    /// <param name="session">This writer's term.</param>
    /// <param name="committed">The last table known to be committed.</param>
    public OwnershipProof(IObjectStore objects, TableReader reader, Guid session, Func<ChainPosition> committed)
    {
        _objects = objects;
        _reader = reader;
        _session = session;
        _committed = committed;
    }

    /// <summary>
    /// Completes when the first free number of this epoch was seen to be free. A takeover puts its seal at exactly that
    /// number, so none had happened by then.
    /// </summary>
    /// <exception cref="StorageFaultException">Another server owns the store (kind Fenced).</exception>
    public async Task RunAsync(CancellationToken cancellation)
    {
        for (ChainPosition at = _committed().NextNumber; ; at = at.NextNumber)
        {
            switch (await _reader.TryReadAsync(at, cancellation))
            {
                case null:
                    return;
                case ChainObject.Seal seal:
                    throw FencedBy(seal.Identity, at, _objects.Location);
                case ChainObject.Table table when table.Session != _session:
                    throw StorageFaultException.Fenced(
                        $"Another server wrote {ChainNames.Table(at)} in {_objects.Location}: this server is fenced and stops.");
            }
        }
    }

    /// <summary>The one sentence for a fenced server.</summary>
    public static StorageFaultException FencedBy(TableIdentity identity, ChainPosition at, string location) =>
        StorageFaultException.Fenced(
            $"Another server (session {identity.Session}) took over the store in {location} at {ChainNames.Table(at)}: " +
            "this server is fenced and stops. What it had not published stays in its WAL and is not part of the store.");
}
