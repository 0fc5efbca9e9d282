using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Postgres;

// The real thing: PostgreSQL with data checksums on OpenZFS on the kernel's NBD client on ZeroFlow, and crashes of every
// part of it. After each one PostgreSQL must have every commit that it answered, and ZFS and PostgreSQL must find nothing
// wrong with themselves. Continuous integration plays the hardest scenario; scripts/test-postgres.sh plays all.
public sealed class PostgresTests(ZeroFlowBinary binary, RadosGateway gateway)
{
    private const string Size = "4G";
    private const int Entries = 300;

    private const string UntilStopped = "until [ -e /jobs/stop ]; do sleep 1; done";
    private const string CheckHere = "pkill psql; pkill pgbench; sleep 1\ncheck_everything\nzpool export tank";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly string[] Scenarios =
    [
        "published: everything is killed, and the local disk is lost",
        "journaled: everything is killed, and the cache is lost",
        "journaled: everything is killed, and the local disk is lost",
        "published, striped over three: everything is killed, and the local disk is lost",
        "journaled: the server is killed and comes back under a running database",
        "published, write-through: another server takes the pool over while the first one works",
        "published, write-through: the server and its disk are lost under a running database",
        "mirrored over three servers: one is killed, loses everything, and is resilvered",
    ];

    public static TheoryData<string> Played => [.. Require.Long ? Scenarios : Scenarios[..1]];

    [Theory]
    [MemberData(nameof(Played))]
    public async Task PostgreSQL_on_ZFS_has_every_commit_that_it_answered(string scenario)
    {
        Require.Root();
        Guest.RequireBuilt();
        using var folder = new TestFolder();
        Task play = Array.IndexOf(Scenarios, scenario) switch
        {
            0 => EverythingKilledAsync(folder, "published", devices: 1, losesWal: true),
            1 => EverythingKilledAsync(folder, "journaled", devices: 1, losesWal: false),
            2 => EverythingKilledAsync(folder, "journaled", devices: 1, losesWal: true),
            3 => EverythingKilledAsync(folder, "published", devices: 3, losesWal: true),
            4 => ServerRestartedAsync(folder),
            5 => TakenOverAsync(folder),
            6 => ServerLostAsync(folder),
            _ => MirrorResilveredAsync(folder),
        };
        await play;
    }

    private static void Say(string message) => TestContext.Current.TestOutputHelper?.WriteLine(message);

    // Attaches the exports pg0, pg1... of one server as /dev/nbd0, /dev/nbd1...
    private static string Attach(ZeroFlowServer server, int devices) => string.Join('\n',
        Enumerable.Range(0, devices).Select(i => $"attach /dev/nbd{i} {Guest.Host}:{server.Port}/pg{i} || give_up attach"));

    private static string Devices(int count) => string.Join(' ', Enumerable.Range(0, count).Select(static i => $"/dev/nbd{i}"));

    // Works until it is killed, or until `then` goes on.
    private static string Work(string attach, string vdevs, string then = "wait") =>
        $"""
        load_zfs
        {attach}
        make_pool {vdevs}
        make_database
        start_database
        load_benchmark 1
        say READY
        keep_ledger 4
        as_postgres $bin/pgbench -h /tmp/sockets -p $port -n -c 2 -T 3600 bench > /tmp/bench.log 2>&1 &
        {then}
        """;

    private static string Check(string attach) =>
        $"""
        load_zfs
        {attach}
        import_pool
        start_database
        check_everything
        zpool export tank
        """;

    // What a new guest finds on the exports of a server has to be sound. The answered commits that are not there.
    private static async Task<int> CheckAsync(
        ZeroFlowServer server, int devices, TestFolder folder, Ledger ledger, bool isPrefix = false)
    {
        await using var guest = await Guest.StartAsync(Check(Attach(server, devices)), folder);
        await guest.EndAsync(Patience);
        return ledger.Check(guest.Console, isPrefix);
    }

    private static async Task<Ledger> WorkUntilAsync(Guest guest, int entries)
    {
        await guest.WaitForAsync("GUEST READY", Patience);
        await guest.WaitUntilAsync(console => Ledger.Of(console).Count >= entries, $"{entries} commits", Patience);
        return Ledger.Of(guest.Console);
    }

    private async Task EverythingKilledAsync(TestFolder folder, string level, int devices, bool losesWal)
    {
        ServerSettings settings = await SettingsAsync(folder, "data", level, devices);
        Ledger ledger;
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        await using (var guest = await Guest.StartAsync(Work(Attach(server, devices), Devices(devices)), folder))
        {
            // The guest first: a FLUSH that fails under it would not count for ZFS (docs/durability.md).
            await WorkUntilAsync(guest, Entries);
            await guest.KillAsync();
            await server.KillAsync();
            ledger = Ledger.Of(guest.Console);
        }

        Directory.Delete(Path.Combine(settings.Data, "cache"), recursive: true);
        if (losesWal) Directory.Delete(settings.Data, recursive: true);
        await using var again = await ZeroFlowServer.StartAsync(settings);
        int lost = await CheckAsync(again, devices, folder, ledger, isPrefix: losesWal && level == "journaled");
        Say($"{ledger.Count} commits were answered; {lost} of them are lost, as the level allows.");
        Assert.Equal(0, await again.StopAsync());
    }

    // The client is QEMU's, which waits for a server that went away; the kernel's own gives up the device.
    private async Task ServerRestartedAsync(TestFolder folder)
    {
        Require.Tool("qemu-storage-daemon");
        ServerSettings settings = await SettingsAsync(folder, "data", "journaled", devices: 1);
        var server = await ZeroFlowServer.StartAsync(settings);
        try
        {
            string socket = folder["disk"];
            await using var disk = ChildProcess.Start(
                "qemu-storage-daemon",
                [
                    "--blockdev", $"driver=nbd,node-name=disk,server.type=inet,server.host=127.0.0.1,server.port={server.Port},export=pg0,reconnect-delay=60",
                    "--export", $"type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket},writable=on,logical-block-size=4096",
                ]);
            using (var patience = new CancellationTokenSource(Patience))
            {
                while (!File.Exists(socket)) await Task.Delay(50, patience.Token);
            }

            // Without udev, the pool cannot make partitions of a whole disk by itself.
            string work = Work(
                "modprobe virtio_blk; sleep 1; echo ',,' | sfdisk -q /dev/vda || give_up sfdisk", "/dev/vda1", $"{UntilStopped}\n{CheckHere}");
            Guest.Signal("stop", isSet: false);
            await using var guest = await Guest.StartAsync(work, folder, socket);
            for (int kill = 1; kill <= 3; kill++)
            {
                int before = Ledger.Of(guest.Console).Count;
                await WorkUntilAsync(guest, before + Entries);
                await server.KillAsync();
                await server.DisposeAsync();
                server = await ZeroFlowServer.StartAsync(settings);
            }

            Ledger ledger = await WorkUntilAsync(guest, Ledger.Of(guest.Console).Count + Entries);
            Guest.Signal("stop", isSet: true);
            await guest.EndAsync(Patience);
            Assert.Equal(0, ledger.Check(guest.Console, isPrefix: false));
            Say($"{ledger.Count} commits were answered over 3 kills of the server; none is lost.");
        }
        finally
        {
            Guest.Signal("stop", isSet: false);
            await server.DisposeAsync();
        }
    }

    private async Task TakenOverAsync(TestFolder folder)
    {
        const string Level = "published:write-through";
        ServerSettings settings = await SettingsAsync(folder, "first", Level, devices: 1);
        Ledger ledger;
        await using var first = await ZeroFlowServer.StartAsync(settings);
        ZeroFlowServer second;
        await using (var guest = await Guest.StartAsync(Work(Attach(first, 1), Devices(1)), folder))
        {
            await WorkUntilAsync(guest, Entries);
            second = await ZeroFlowServer.StartAsync(await SettingsAsync(folder, "second", Level, devices: 1));
            Assert.NotEqual(0, await first.ExitAsync());

            // What was answered by then, and whatever the guest still makes of its dead device.
            await Task.Delay(2000, CancellationToken.None);
            ledger = Ledger.Of(guest.Console);
        }

        await using (second)
        {
            Assert.Equal(0, await CheckAsync(second, 1, folder, ledger));
            Say($"{ledger.Count} commits were answered before the takeover; none is lost.");
        }
    }

    // The database lives on for a while, on a device that only fails: nothing that it answers then may be missing later.
    private async Task ServerLostAsync(TestFolder folder)
    {
        ServerSettings settings = await SettingsAsync(folder, "data", "published:write-through", devices: 1);
        Ledger ledger;
        await using (var server = await ZeroFlowServer.StartAsync(settings))
        await using (var guest = await Guest.StartAsync(Work(Attach(server, 1), Devices(1)), folder))
        {
            await WorkUntilAsync(guest, Entries);
            await server.KillAsync();
            await Task.Delay(2000, CancellationToken.None);
            ledger = Ledger.Of(guest.Console);
        }

        Directory.Delete(settings.Data, recursive: true);
        await using var again = await ZeroFlowServer.StartAsync(settings);
        Assert.Equal(0, await CheckAsync(again, 1, folder, ledger));
        Say($"{ledger.Count} commits were answered before the server was lost; none is lost.");
        Assert.Equal(0, await again.StopAsync());
    }

    private async Task MirrorResilveredAsync(TestFolder folder)
    {
        ServerSettings[] settings = await Task.WhenAll(Enumerable.Range(0, 3).Select(i => MirrorAsync(folder, i)));
        var servers = new List<ZeroFlowServer>();
        try
        {
            foreach (ServerSettings one in settings) servers.Add(await ZeroFlowServer.StartAsync(one));
            string attach = string.Join('\n', servers.Select((server, i) =>
                $"attach /dev/nbd{i} {Guest.Host}:{server.Port}/pg0 || give_up attach"));
            string work = Work(
                attach, "mirror " + Devices(3),
                $"""
                {UntilStopped}
                attach /dev/nbd3 {Guest.Host}:{servers[1].Port}/pg0 || give_up "attach the new disk"
                zpool replace -f -w tank /dev/nbd1 /dev/nbd3 || give_up "zpool replace"
                zpool status tank | grep -E 'state:|resilvered'
                {CheckHere}
                """);
            Guest.Signal("stop", isSet: false);
            await using var guest = await Guest.StartAsync(work, folder);
            await WorkUntilAsync(guest, Entries);
            await servers[1].KillAsync();
            await servers[1].DisposeAsync();

            // The pool goes on with two of three; the third comes back empty.
            await WorkUntilAsync(guest, Ledger.Of(guest.Console).Count + Entries);
            Directory.Delete(settings[1].Data, recursive: true);
            servers[1] = await ZeroFlowServer.StartAsync(settings[1] with { Store = StorePlace.InDirectory(folder.Make("new")) });
            Guest.Signal("stop", isSet: true);
            await guest.EndAsync(Patience);
            Ledger ledger = Ledger.Of(guest.Console);
            Assert.Equal(0, ledger.Check(guest.Console, isPrefix: false));
            Assert.Contains("resilvered", guest.Console, StringComparison.Ordinal);
            Say($"{ledger.Count} commits were answered; none is lost, and the mirror is whole again.");
        }
        finally
        {
            Guest.Signal("stop", isSet: false);
            foreach (ZeroFlowServer server in servers) await server.DisposeAsync();
        }
    }

    private async Task<ServerSettings> MirrorAsync(TestFolder folder, int number) =>
        new(await binary.PathAsync(), StorePlace.InDirectory(folder.Make($"bucket{number}")), folder.Make($"mirror{number}"))
        {
            Exports = [$"pg0:{Size}:journaled"],
        };

    private async Task<ServerSettings> SettingsAsync(TestFolder folder, string data, string level, int devices) =>
        new(await binary.PathAsync(), await StorePlace.NewAsync(StorePlace.Radosgw, folder, gateway), folder.Make(data))
        {
            Exports = [.. Enumerable.Range(0, devices).Select(i => $"pg{i}:{Size}:{level}")],
        };
}
