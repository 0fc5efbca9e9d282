using System.Text.Json;
using ZeroFlow.Host.Commands;
using ZeroFlow.Host.Doctor;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Tests.Doctor;

// The files in Captured are what the kernel, zpool, zfs and psql printed in the guest (scripts/build-guest.sh): the pool and the
// database of docs/guides/postgresql-zfs.md, and a careless pool. Each line of a theory is one of theirs with another value.
public sealed class DoctorTests
{
    [Theory]
    [InlineData("/", "hostfs", "root")]
    [InlineData("/data/pg", "zfs", "tank/pg")]
    [InlineData("/data/wal/15", "zfs", "tank/pg/wal")]
    [InlineData("/database", "hostfs", "root")]
    [InlineData("/tmp/x", "tmpfs", "tmpfs")]
    [InlineData("/proc/1", "proc", "proc")]
    [InlineData("/procedure", "hostfs", "root")]
    public void A_path_is_on_the_longest_mount_that_leads_to_it(string path, string type, string source) =>
        Assert.Equal((type, source), DiskCheck.MountOf(Captured("mountinfo.txt"), path));

    [Theory]
    [InlineData("/data/pg", "btrfs", "/dev/vdc")]
    [InlineData("/mnt/with space/x", "ext4", "/dev/vdd")]
    public void Of_two_mounts_in_one_place_the_later_counts_and_spaces_are_read(string path, string type, string source)
    {
        const string More = """
            90 16 0:90 / /data rw - xfs /dev/vdb rw
            91 16 0:91 / /data rw shared:1 - btrfs /dev/vdc rw
            92 16 0:92 / /mnt/with\040space rw - ext4 /dev/vdd rw
            """;
        Assert.Equal((type, source), DiskCheck.MountOf(Captured("mountinfo.txt") + More, path));
    }

    [Theory]
    [InlineData("ext4", true)]
    [InlineData("xfs", true)]
    [InlineData("tmpfs", false)]
    [InlineData("overlay", false)]
    [InlineData("nfs4", false)]
    public void A_log_needs_a_local_disk(string type, bool isGood) => Assert.Equal(isGood, DiskCheck.FileSystem(type).IsGood);

    [Theory]
    [InlineData(20, 0, true)]
    [InlineData(11, 0, false)]
    [InlineData(4, 9, true)]
    public void Space_counts_what_the_server_has_already(long freeGib, long ownGib, bool isGood) =>
        Assert.Equal(isGood, DiskCheck.Space(freeGib << 30, ownGib << 30, new StoreOptions()).IsGood);

    [Theory]
    [InlineData(0.2, true, false)]
    [InlineData(12, true, true)]
    [InlineData(0.001, false, true)]
    public void A_sync_may_be_slow_but_not_unbelievable(double milliseconds, bool isGood, bool hasAdvice)
    {
        Finding finding = DiskCheck.Sync([.. Enumerable.Repeat(TimeSpan.FromMilliseconds(milliseconds), 50)]);
        Assert.Equal((isGood, hasAdvice), (finding.IsGood, finding.Advice is not null));
    }

    [Theory]
    [InlineData(16 << 20, 12 << 20, true, false)]
    [InlineData(16 << 20, 1 << 20, true, true)]
    [InlineData(1 << 20, 1 << 20, false, true)]
    public void Memory_is_compared_with_the_budgets(int totalKib, int availableKib, bool isGood, bool hasAdvice)
    {
        Finding finding = MachineCheck.Memory($"MemTotal:       {totalKib} kB\nMemFree:  1 kB\nMemAvailable:   {availableKib} kB\n", new StoreOptions());
        Assert.Equal((isGood, hasAdvice), (finding.IsGood, finding.Advice is not null));
    }

    [Fact]
    public void The_guest_is_small_and_its_limits_are_good()
    {
        Finding memory = MachineCheck.Memory(Captured("meminfo.txt"), new StoreOptions());
        Assert.False(memory.IsGood);
        Assert.Equal("The server may take 1.5 GiB; the machine has 1.5 GiB, of which 1.3 GiB are free.", memory.Says);
        Assert.Equal("The limit is 4096.", MachineCheck.OpenFiles(Captured("limits.txt")).Says);
    }

    // docs/architecture.md, section 7.
    [Fact]
    public void The_budgets_add_up_as_documented() =>
        Assert.Equal((256L + 512 + 256 + 64 + (8 * 16) + 350) << 20, MachineCheck.MemoryNeeded(new StoreOptions()));

    [Theory]
    [InlineData("NTPSynchronized=yes\n", true)]
    [InlineData("NTPSynchronized=no\n", false)]
    [InlineData(null, true)]
    public void The_clock_is_to_be_synchronized(string? timedatectl, bool isGood) =>
        Assert.Equal(isGood, MachineCheck.Clock(timedatectl, "timedatectl is not installed").IsGood);

    [Theory]
    [InlineData("Max open files            1024                 524288               files     ", true)]
    [InlineData("Max open files            1024                 1024                 files     ", false)]
    [InlineData("Max open files            unlimited            unlimited            files     ", true)]
    public void Open_files_are_limited_by_the_hard_limit(string line, bool isGood) =>
        Assert.Equal(isGood, MachineCheck.OpenFiles($"Limit  Soft Limit  Hard Limit  Units\nMax processes 1 1 processes\n{line}\n").IsGood);

    [Fact]
    public void The_NBD_module_and_its_devices_are_judged()
    {
        Assert.Contains("modprobe nbd", Assert.Single(NbdCheck.Judge(null, [])).Advice, StringComparison.Ordinal);
        Assert.Contains("max_part=16", Assert.Single(NbdCheck.Judge(0, [])).Advice, StringComparison.Ordinal);
        Finding[] findings =
        [
            .. NbdCheck.Judge(16, [new NbdDevice("nbd0", 128, 32768, 30), new NbdDevice("nbd1", 1024, 32768, 0), new NbdDevice("nbd2", 128, 128, null)]),
        ];
        Assert.Equal(["nbd", "nbd0", "nbd0", "nbd1", "nbd2"], findings.Select(finding => finding.What));
        Assert.Contains("/sys/block/nbd0/queue/max_sectors_kb", findings[1].Advice, StringComparison.Ordinal);
        Assert.Equal((false, true), (findings[2].IsGood, findings[2].Advice!.Contains("-t 0", StringComparison.Ordinal)));
        Assert.Equal((null, null), (findings[3].Advice, findings[4].Advice));
    }

    [Fact]
    public void Attached_devices_are_read_from_sys()
    {
        using var directory = new TempDirectory();
        string Write(string path, string text)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(directory.Path, path))!);
            return directory.Write(path, text);
        }

        Assert.Null(NbdCheck.Read(directory.Path).MaxPart);
        Write("module/nbd/parameters/max_part", "16\n");
        Write("block/nbd0/size", "20971520\n");
        Write("block/nbd0/queue/max_sectors_kb", "128\n");
        Write("block/nbd0/queue/max_hw_sectors_kb", "32768\n");
        Write("kernel/debug/nbd/nbd0/timeout", "7500\n");
        Write("block/nbd1/size", "0\n");
        (int? maxPart, IReadOnlyList<NbdDevice> devices) = NbdCheck.Read(directory.Path);
        Assert.Equal(16, maxPart);
        Assert.Equal(new NbdDevice("nbd0", 128, 32768, 30), Assert.Single(devices));
    }

    [Fact]
    public void Only_pools_on_NBD_devices_are_looked_at()
    {
        string[] pools = ["bad", "tank"];
        Assert.Equal(pools, ZfsCheck.PoolsOnNbd(Captured("zpool-status.txt")));
        Assert.Empty(ZfsCheck.PoolsOnNbd("no pools available\n"));
        Assert.Equal(
            ["CHANGE zfs bad: ashift=9: blocks may be as small as 512 bytes.", "CHANGE zfs bad: failmode=continue.", "ok zfs tank: ashift=12."],
            ZfsCheck.Pools(Captured("zpool-get.txt"), pools).Select(Line));
        Assert.Contains("ashift=12", ZfsCheck.Pools("tank\tashift\t0\tdefault\n", ["tank"]).Single().Advice, StringComparison.Ordinal);
    }

    // The guide's own data sets are as they should be: only the records of the one with the data directory count.
    [Fact]
    public void The_data_sets_of_the_guide_are_good_and_the_careless_ones_are_not()
    {
        string[] bad =
        [
            "note zfs bad: compression=lz4, and the server compresses, too.", "note zfs bad: atime=on.",
            "note zfs bad/pg: compression=lz4, and the server compresses, too.", "CHANGE zfs bad/pg: sync=disabled: a commit waits for nothing.",
            "note zfs bad/pg: logbias=throughput.", "note zfs bad/pg: atime=on.",
        ];
        string[] Judge(string? database) => [.. ZfsCheck.Datasets(Captured("zfs-get.txt"), ["bad", "tank"], serverCompresses: true, database).Select(Line)];
        Assert.Equal(bad, Judge("tank/pg"));
        Assert.Equal(["note zfs bad/pg: recordsize=128K."], Judge("bad/pg").Except(bad));
        Assert.Equal(
            ["bad", "bad/pg", "tank", "tank/pg/wal"],
            Judge(database: null).Except(bad).Select(line => line.Replace("note zfs ", "", StringComparison.Ordinal).Replace(": recordsize=128K.", "", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("sync\tdisabled", true, "CHANGE", "sync=standard tank/pg")]
    [InlineData("sync\tstandard", true, "", "")]
    [InlineData("compression\tlz4", true, "note", "compression=off tank/pg")]
    [InlineData("compression\tlz4", false, "", "")]
    [InlineData("compression\toff", true, "", "")]
    [InlineData("compression\toff", false, "note", "compression=lz4")]
    [InlineData("recordsize\t131072", true, "note", "recordsize=8K")]
    [InlineData("recordsize\t8192", true, "", "")]
    [InlineData("recordsize\t-", true, "", "")]
    [InlineData("logbias\tthroughput", true, "note", "logbias=latency")]
    [InlineData("logbias\tlatency", true, "", "")]
    [InlineData("atime\ton", true, "note", "atime=off")]
    public void Datasets_are_judged_by_their_properties(string property, bool serverCompresses, string kind, string advice)
    {
        Finding? finding = ZfsCheck.Datasets($"tank/pg\t{property}\tlocal\nrpool/x\t{property}\tlocal\n", ["tank"], serverCompresses, "tank/pg").SingleOrDefault();
        Assert.Equal(kind, finding is null ? "" : finding.IsGood ? "note" : "CHANGE");
        Assert.Contains(advice, finding?.Advice ?? "", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("5", false)]
    [InlineData("60", true)]
    public void Transaction_groups_are_not_to_wait_long(string seconds, bool hasAdvice)
    {
        Assert.Equal(hasAdvice, ZfsCheck.TransactionTime(seconds)!.Advice is not null);
        Assert.Null(ZfsCheck.TransactionTime(null));
    }

    [Theory]
    [InlineData("full_page_writes=off", "ext4", "CHANGE")]
    [InlineData("full_page_writes=off", "zfs", "")]
    [InlineData("full_page_writes=on", "zfs", "note")]
    [InlineData("full_page_writes=on\nwal_compression=lz4", "ext4", "")]
    [InlineData("full_page_writes=on\nwal_compression=off", "ext4", "note")]
    [InlineData("fsync=off", "zfs", "CHANGE")]
    [InlineData("data_checksums=off", "zfs", "note")]
    [InlineData("data_checksums=on", "zfs", "")]
    [InlineData("wal_recycle=on", "zfs", "note")]
    [InlineData("wal_recycle=on", "ext4", "")]
    [InlineData("synchronous_commit=off", "zfs", "note")]
    public void PostgreSQL_is_judged_by_its_settings_and_its_file_system(string settings, string fileSystem, string kind)
    {
        Finding[] findings = [.. PostgresCheck.Judge($"data_directory=/tank/pg\nserver_version=15.14 (Debian)\n{settings}\n", fileSystem)];
        Assert.Equal($"Version 15.14 (Debian), in /tank/pg on {fileSystem}.", findings[0].Says);
        Finding? finding = findings.Skip(1).SingleOrDefault();
        Assert.Equal(kind, finding is null ? "" : finding.IsGood ? "note" : "CHANGE");
    }

    [Fact]
    public void The_PostgreSQL_of_the_guide_is_good_on_ZFS_only()
    {
        Assert.Equal(["ok postgresql: Version 15.20 (Debian 15.20-0+deb12u1), in /data/pg on zfs."], PostgresCheck.Judge(Captured("psql.txt"), "zfs").Select(Line));
        Assert.Equal(["CHANGE postgresql: full_page_writes=off, on ext4."], PostgresCheck.Judge(Captured("psql.txt"), "ext4").Skip(1).Select(Line));
    }

    [Fact]
    public async Task The_command_looks_at_this_machine_and_leaves_nothing_behind()
    {
        using var directory = new TempDirectory();
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await CommandTree.RunAsync(["doctor", "--data", directory.Path, "--json"], output, error);
        Assert.Equal("", error.ToString());
        JsonElement[] findings = [.. JsonDocument.Parse(output.ToString()).RootElement.GetProperty("findings").EnumerateArray()];
        string[] names = [.. findings.Select(finding => finding.GetProperty("what").GetString()!)];
        Assert.Equal(["file system", "space", "sync", "memory", "clock", "open files", "nbd"], names.Take(7));
        Assert.Contains("postgresql", names);
        Assert.Equal(findings.All(finding => finding.GetProperty("isGood").GetBoolean()) ? 0 : 1, code);
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory.Path));
    }

    [Fact]
    public async Task A_wrong_configuration_is_told_and_nothing_is_looked_at()
    {
        using var directory = new TempDirectory();
        string file = directory.Write("zeroflow.json", """{ "Tuning": { "WalBytes": "much" } }""");
        var (output, error) = (new StringWriter(), new StringWriter());
        Assert.Equal(2, await CommandTree.RunAsync(["doctor", "--config", file], output, error));
        Assert.Contains("Tuning:WalBytes is \"much\"", error.ToString(), StringComparison.Ordinal);
        Assert.Equal("", output.ToString());
    }

    private static string Captured(string name) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Doctor", "Captured", name));

    private static string Line(Finding finding) => $"{(finding.IsGood ? finding.Advice is null ? "ok" : "note" : "CHANGE")} {finding.What}: {finding.Says}";
}
