using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Simulation.Oracle;
using ZeroFlow.Simulation.World;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.Journal;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Simulation.Actors;

/// <summary>What ends a round.</summary>
internal enum Ending
{
    Kill,
    PowerLoss,
    PowerLossInSync,
    DiskLoss,
    Takeover,
    TakeoverOfSleeper,
    CleanStop,
}

/// <summary>
/// Plays one seed: opens the store, lets clients work while things go wrong, ends the server in some way, opens a
/// successor, and compares what that serves with what the clients were promised.
/// </summary>
internal sealed class Director
{
    private const int Hosts = 2;
    private const int LanesPerExport = 4;
    private const int OpensMax = 40;

    // Every fifth seed keeps its past.
    private const int RetainingEach = 5;
    private const int RetainingFirst = 2;
    private static readonly TimeSpan Retention = TimeSpan.FromSeconds(60);

    private readonly SimulatedWorld _world;
    private readonly SimulatedProcess _self;
    private readonly SimulatedProcess _network;
    private readonly SimulatedObjectStore _objects;
    private readonly SimulatedWalDisk[] _disks = [new(), new()];
    private readonly BufferPool _buffers = new(4 << 20);
    private readonly List<Task> _lanes = [];
    private readonly RunReport _report;
    private readonly SnapshotKeeper _snapshots;
    private readonly EventOrder _order = new();
    private readonly TimeSpan _retention;
    private readonly PastReader? _past;
    private StoreOracle? _present;
    private int _processes;

    public Director(SimulatedWorld world, int seed, RunReport report)
    {
        _world = world;
        _report = report;
        _snapshots = new SnapshotKeeper(_buffers, report);
        _self = NewProcess("director");
        _network = NewProcess("network");
        _objects = new SimulatedObjectStore(_network.Time, seed);
        if (seed % RetainingEach != RetainingFirst) return;
        _retention = Retention;
        SimulatedProcess reader = NewProcess("past");
        _past = new PastReader(reader, new SimulatedBucket(_network, reader, _objects), _retention, _buffers, _order, report)
        {
            Present = () => _present!,
        };
        _lanes.Add(reader.Run(_past.RunAsync));
    }

    public Task RunAsync(int rounds) => _self.Run(async () =>
    {
        int host = 0;
        var oracle = new StoreOracle(
            SimulatedServer.Exports.Length, SimulatedServer.BlocksPerExport, _order);
        SimulatedServer server = await OpenAsync(host);
        server.Oracle = _present = oracle;
        if (_past is not null) _past.HasBegun = true;
        for (int round = 0; round < rounds; round++)
        {
            StartClients(server);
            await TroubleAsync(server);
            Ending ending = Enum.GetValues<Ending>()[_world.Random.Next(7)];
            _report.Add(ending.ToString());
            if (ending is Ending.Takeover or Ending.TakeoverOfSleeper) host = 1 - host;
            server = await ReplaceAsync(server, ending, host);
            CheckLanes();
        }

        foreach (var (fault, times) in _objects.FaultCounts) _report.Add($"Bucket{fault}", times);
    });

    private async Task<SimulatedServer> ReplaceAsync(SimulatedServer old, Ending ending, int host)
    {
        if (old.Store.Space.MergedBytes > 0) _report.Add("Merged");
        Promise promise = await EndAsync(old, ending, host);
        if (old.Process.IsDead && _world.Chance(0.25)) await LoseCheckpointsAsync();
        SimulatedServer next = await OpenAsync(host);
        ulong[][] image = await next.ReadAllAsync();
        CheckLanes();
        try
        {
            (next.Oracle, old.SeenBySuccessor) = old.Oracle.Check(image, promise);
            _present = next.Oracle;
        }
        catch (BrokenPromiseException broken)
        {
            throw new BrokenPromiseException(
                $"After {ending} of {old.Process.Name} (its fault: {old.Store.Status.Fault ?? "none"}), at {_world.Now}: {broken.Message}");
        }

        await next.Process.Run(() => _snapshots.CheckAsync(next));
        if (old.Process.IsDead) return next;

        // The old one lives on beside the new one, for a while.
        if (ending == Ending.TakeoverOfSleeper)
        {
            old.MustBeSilent = true;
            old.Process.IsPaused = false;
        }

        _ = _self.Run(async () =>
        {
            await _self.Sleep(_world.Between(0, 15_000));
            old.Process.Kill();
        });
        return next;
    }

    private async Task<Promise> EndAsync(SimulatedServer old, Ending ending, int host)
    {
        int at = 1 - host;
        switch (ending)
        {
            case Ending.Takeover:
                _disks[at] = old.Disk;
                return Promise.Published;
            case Ending.TakeoverOfSleeper:
                _disks[at] = old.Disk;
                old.Process.IsPaused = true;
                await _self.Sleep(_world.Between(6_000, 30_000));
                return Promise.Published;
            case Ending.CleanStop:
                await old.Process.Run(() => old.Store.StopAsync(_world.Between(0, 3_000)));
                old.Process.Kill();
                LosePower(old, host);
                return Promise.Answered;
            case Ending.PowerLossInSync:
                await DieInSyncAsync(old, host);
                return Promise.Flushed;
            default:
                old.Process.Kill();
                _disks[host] = ending switch
                {
                    Ending.Kill => old.Disk.Kill(),
                    Ending.PowerLoss => LosePower(old, host),
                    _ => new SimulatedWalDisk(),
                };
                return ending switch
                {
                    Ending.Kill => Promise.Answered,
                    Ending.PowerLoss => Promise.Flushed,
                    _ => Promise.Published,
                };
        }
    }

    // Somebody deletes every checkpoint, and somebody else finds that out.
    private async Task LoseCheckpointsAsync()
    {
        IReadOnlyList<string> lost = _objects.Keys("checkpoint/");
        if (lost.Count == 0) return;
        foreach (string key in lost) _objects.Remove(key);
        _past?.Lost();
        _report.Add("CheckpointsLost");
        SimulatedProcess process = NewProcess("rebuild");
        while (true)
        {
            try
            {
                RebuildReport report = await new SimulatedServer(process, null!, new SimulatedBucket(_network, process, _objects), TimeSpan.Zero).RebuildAsync();
                _report.Add($"Rebuild{report.Outcome}");
                if (report.Outcome == RebuildOutcome.Lost) throw new BrokenPromiseException($"Without its checkpoints the store is lost: {string.Join("; ", report.Problems)}");
                _past?.Restored(_objects.Keys("checkpoint/") is [var oldest, ..] ? _objects.Peek(oldest) : null);
                return;
            }
            catch (StorageFaultException away) when (away.Kind == FaultKind.Unavailable)
            {
                (_objects.Faults, _objects.Outage) = (StoreFaults.None, null);
            }
        }
    }

    // The power fails after the sync was asked for and before it took effect.
    private async Task DieInSyncAsync(SimulatedServer old, int host)
    {
        bool isDead = false;
        int left = _world.Random.Next(4);
        old.Disk.OnSync = () =>
        {
            if (isDead || left-- > 0) return;
            isDead = true;
            old.Process.Kill();
            LosePower(old, host);
            throw new IOException("The power failed.");
        };
        for (int i = 0; i < 100 && !isDead; i++) await _self.Sleep(TimeSpan.FromMilliseconds(50));
        if (isDead) return;
        old.Process.Kill();
        LosePower(old, host);
    }

    private SimulatedWalDisk LosePower(SimulatedServer old, int host)
    {
        _disks[host] = old.Disk.Crash(_world.Random.Next());
        _report.Add("SectorsLost", old.Disk.SectorsLost);
        _report.Add("SectorsTorn", old.Disk.SectorsTorn);
        return _disks[host];
    }

    // Opening may meet what it cannot wait out; it may also be killed in the middle, like any other work.
    private async Task<SimulatedServer> OpenAsync(int host)
    {
        for (int attempt = 1; ; attempt++)
        {
            if (attempt > OpensMax / 2) (_objects.Faults, _objects.Outage) = (StoreFaults.None, null);
            SimulatedProcess process = NewProcess($"server-{_processes}");
            var server = new SimulatedServer(process, _disks[host], new SimulatedBucket(_network, process, _objects), _retention);
            Task opening = server.OpenAsync();
            if (attempt < OpensMax / 2 && _world.Chance(0.2))
            {
                await Task.WhenAny(opening, _self.Sleep(_world.Between(0, 1_500)));
                if (!opening.IsCompleted)
                {
                    _report.Add("KilledInOpening");
                    process.Kill();
                    _disks[host] = server.Disk.Kill();
                    continue;
                }
            }

            try
            {
                await opening;
                return server;
            }
            catch (StorageFaultException fault) when (attempt < OpensMax && fault.Kind != FaultKind.Corrupt)
            {
                _report.Add("FailedOpening");
                process.Kill();
            }
        }
    }

    private void StartClients(SimulatedServer server)
    {
        server.Disk.OnSync = () =>
        {
            if (_world.Chance(0.05)) _world.Block(_world.Between(1, 300));
        };
        _lanes.Add(server.Process.Run(() => _snapshots.RunAsync(server)));
        const int Blocks = SimulatedServer.BlocksPerExport / LanesPerExport;
        for (int export = 0; export < SimulatedServer.Exports.Length; export++)
        {
            for (int lane = 0; lane < LanesPerExport; lane++)
            {
                var client = new ClientLane(server, export, lane * Blocks, Blocks, _buffers);
                _lanes.Add(server.Process.Run(client.RunAsync));
            }
        }
    }

    private async Task TroubleAsync(SimulatedServer server)
    {
        _objects.Faults = new StoreFaults
        {
            TransientRate = _world.Random.NextDouble() * 0.1,
            ThrottledRate = _world.Random.NextDouble() * 0.05,
            ReplyLostRate = _world.Random.NextDouble() * 0.15,
            ShortBodyRate = _world.Random.NextDouble() * 0.1,
            LatencyMin = TimeSpan.FromMilliseconds(1),
            LatencyMax = _world.Chance(0.2) ? TimeSpan.FromSeconds(3) : TimeSpan.FromMilliseconds(60),
        };
        for (int i = _world.Random.Next(1, 5); i > 0 && !server.Store.Fatal.IsCompleted; i--)
        {
            switch (_world.Random.Next(5))
            {
                case 4:
                    _report.Add("Rest");
                    server.ClientsRest = true;
                    await _self.Sleep(_world.Between(15_000, 30_000));
                    server.ClientsRest = false;
                    break;
                case 0:
                    _report.Add("Outage");
                    _objects.Outage = ObjectStoreErrorKind.Transient;
                    await _self.Sleep(_world.Between(100, 8_000));
                    _objects.Outage = null;
                    break;
                case 1:
                    _report.Add("DiskFull");
                    server.Disk.CapacityBytes = 0;
                    await _self.Sleep(_world.Between(100, 8_000));
                    server.Disk.CapacityBytes = long.MaxValue;
                    break;
                default:
                    await _self.Sleep(_world.Between(10, 4_000));
                    break;
            }
        }
    }

    private void CheckLanes()
    {
        foreach (Task failed in _lanes.Where(lane => lane.IsFaulted)) failed.GetAwaiter().GetResult();
    }

    private SimulatedProcess NewProcess(string name) => new(_world, ++_processes, name);
}
