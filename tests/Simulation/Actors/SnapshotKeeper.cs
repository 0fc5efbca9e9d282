using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Simulation.Oracle;

namespace ZeroFlow.Simulation.Actors;

/// <summary>
/// Takes snapshots of all exports while clients write, clones them, changes the clones, and deletes both; and knows, over
/// every end of a server, what they must hold.
/// </summary>
internal sealed class SnapshotKeeper(BufferPool buffers, RunReport report)
{
    private const int AliveMax = 9;
    private static readonly string[] Names = [.. SimulatedServer.Exports.Select(static export => export.Name)];

    // What was answered: it is in the bucket, and stays as it is.
    private readonly SortedDictionary<string, ulong[]> _sure = new(StringComparer.Ordinal);

    // Asked for and not answered: there or not, and if it is, it holds at least what was answered before it was asked for.
    private readonly SortedDictionary<string, int[][]> _asked = new(StringComparer.Ordinal);

    // Deletion was asked for: there or not.
    private readonly HashSet<string> _doomed = new(StringComparer.Ordinal);
    private int _lastName;

    /// <summary>Goes on until the store refuses.</summary>
    public async Task RunAsync(SimulatedServer server)
    {
        try
        {
            // A server that was replaced may still answer what its successor knows; nobody asks it for more.
            while (server.SeenBySuccessor is null)
            {
                await server.Process.Sleep(server.Process.World.Between(100, 3_000));
                if (_sure.Count >= AliveMax) await DeleteAsync(server);
                else if (_sure.Keys.Any(IsSnapshot) && server.Process.World.Chance(0.4)) await CloneAsync(server);
                else await TakeAsync(server);
            }
        }
        catch (StorageFaultException fault) when (fault.Kind is FaultKind.Fenced or FaultKind.Closing or FaultKind.Unavailable)
        {
            // The store told that it ends.
        }
    }

    /// <summary>Compares all of them with what a successor serves.</summary>
    public async Task CheckAsync(SimulatedServer server)
    {
        foreach (var (name, image) in _sure.ToList())
        {
            if (await ReadAsync(server, name) is not { } found)
            {
                if (!_doomed.Remove(name)) throw new BrokenPromiseException($"{name} was published, and is not there.");
                _sure.Remove(name);
                continue;
            }

            int block = found.AsSpan().CommonPrefixLength(image);
            if (block < image.Length)
                throw new BrokenPromiseException($"Block {block} of {name} holds the stamp {found[block]:x}, and held {image[block]:x}.");
        }

        foreach (var (name, floors) in _asked.ToList())
        {
            _asked.Remove(name);
            if (await ReadGroupAsync(server, name) is not { } images) continue;
            server.Oracle.CheckSnapshot(images, floors);
            Keep(name, images);
            report.Add("SnapshotSurvivedUnanswered");
        }
    }

    private async Task TakeAsync(SimulatedServer server)
    {
        string name = $"s{++_lastName}";
        int[][] floors = [.. Enumerable.Range(0, SimulatedServer.Exports.Length).Select(server.Oracle.FlushPoint)];
        _asked[name] = floors;
        if (!await TryAsync(() => server.Store.CreateSnapshotsAsync(Names, name, CancellationToken.None)))
        {
            _asked.Remove(name);
            return;
        }

        if (server.SeenBySuccessor is not null) return;
        ulong[][] images = await ReadGroupAsync(server, name)
            ?? throw new BrokenPromiseException($"The snapshot {name} was answered, and is not there.");
        server.Oracle.CheckSnapshot(images, floors);

        // The reading took its time: a successor may have found the snapshot, kept it, and deleted it since.
        if (server.SeenBySuccessor is not null) return;
        _asked.Remove(name);
        Keep(name, images);
        report.Add("Snapshot");
    }

    private async Task CloneAsync(SimulatedServer server)
    {
        string[] snapshots = [.. _sure.Keys.Where(key => IsSnapshot(key) && !_doomed.Contains(key))];
        if (snapshots.Length == 0) return;
        string snapshot = snapshots[server.Process.World.Random.Next(snapshots.Length)];
        ulong[] image = [.. _sure[snapshot]];
        string name = $"clone{++_lastName}";
        if (!await TryAsync(() => server.Store.CloneAsync(snapshot, name, DurabilityLevel.Published, CancellationToken.None))) return;
        if (!server.Store.TryOpen(name, out IBlockDevice? device)) throw new BrokenPromiseException($"{name} was answered, and is not there.");
        int block = server.Process.World.Random.Next(image.Length);
        ulong stamp = (ulong)server.Process.World.Random.NextInt64(1, long.MaxValue);
        BufferLease payload = buffers.Rent(BlockStamp.BlockBytes);
        BlockStamp.Fill(payload.Span, stamp);
        if (!await TryAsync(() => device.WriteAsync((long)block * BlockStamp.BlockBytes, payload, true, CancellationToken.None).AsTask())) return;
        if (server.SeenBySuccessor is not null) return;
        image[block] = stamp;
        _sure[name] = image;
        report.Add("Clone");
    }

    private async Task DeleteAsync(SimulatedServer server)
    {
        string name = _sure.Keys.ElementAt(server.Process.World.Random.Next(_sure.Count));
        _doomed.Add(name);
        if (!await TryAsync(() => server.Store.DeleteExportAsync(name, false, CancellationToken.None))) return;
        if (server.Store.TryOpen(name, out _)) throw new BrokenPromiseException($"{name} was deleted, and is there.");

        // Its level is that of the export; only a published deletion survives everything.
        if (!await TryAsync(() => server.Store.FlushAsync(DurabilityLevel.Published, CancellationToken.None))) return;
        if (server.SeenBySuccessor is not null) return;
        _sure.Remove(name);
        _doomed.Remove(name);
        report.Add("Deleted");
    }

    // False when the disk was full, or the name is gone by an earlier attempt.
    private static async Task<bool> TryAsync(Func<Task> operation)
    {
        try
        {
            await operation();
            return true;
        }
        catch (StorageFaultException fault) when (fault.Kind is FaultKind.Full or FaultKind.NotFound)
        {
            return false;
        }
    }

    private static bool IsSnapshot(string name) => name.Contains('@', StringComparison.Ordinal);

    private void Keep(string name, ulong[][] images)
    {
        for (int export = 0; export < images.Length; export++)
            _sure[SnapshotInfo.NameOf(SimulatedServer.Exports[export].Name, name)] = images[export];
    }

    private static async Task<ulong[][]?> ReadGroupAsync(SimulatedServer server, string name)
    {
        var images = new List<ulong[]>();
        foreach (var (export, _) in SimulatedServer.Exports)
        {
            if (await ReadAsync(server, SnapshotInfo.NameOf(export, name)) is { } image) images.Add(image);
        }

        if (images.Count is not 0 && images.Count != SimulatedServer.Exports.Length)
            throw new BrokenPromiseException($"Only {images.Count} of the snapshots {name} are there.");
        return images.Count == 0 ? null : [.. images];
    }

    private static async Task<ulong[]?> ReadAsync(SimulatedServer server, string name) =>
        server.Store.TryOpen(name, out IBlockDevice? device) ? await server.ReadAsync(device) : null;
}
