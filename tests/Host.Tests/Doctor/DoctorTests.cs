using System.Text.Json;
using ZeroFlow.Host.Commands;
using ZeroFlow.Host.Doctor;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Tests.Doctor;

// Each case is what the kernel, zpool, zfs or psql printed, and what has to be said about it.
public sealed class DoctorTests
{
    private const string Status = """
          pool: tank
         state: ONLINE
        config:

        	NAME            STATE     READ WRITE CKSUM
        	tank            ONLINE       0     0     0
        	  /dev/nbd0p1   ONLINE       0     0     0
        	  /dev/nbd1p1   ONLINE       0     0     0

        errors: No known data errors

          pool: rpool
         state: ONLINE
        config:

        	NAME             STATE     READ WRITE CKSUM
        	rpool            ONLINE       0     0     0
        	  /dev/nvme0n1p3 ONLINE       0     0     0
        """;

    private const string MountInfo = """
        22 28 0:20 / /proc rw,nosuid - proc proc rw
        28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
        40 28 0:35 / /var/lib rw,noatime shared:20 - xfs /dev/vdb rw
        41 40 0:36 / /var/lib/zeroflow rw shared:21 - zfs tank/zf rw,xattr
        42 28 0:37 / /mnt/with\040space rw - tmpfs tmpfs rw
        43 40 0:38 / /var/lib rw - btrfs /dev/vdc rw
        """;

    [Theory]
    [InlineData("/", "ext4")]
    [InlineData("/var/lib/zeroflow/data", "zfs")]
    [InlineData("/var/lib/zeroflow2", "btrfs")]
    [InlineData("/mnt/with space/x", "tmpfs")]
    [InlineData("/procedure", "ext4")]
    public void The_file_system_is_that_of_the_longest_and_last_mount(string path, string type) =>
        Assert.Equal(type, DiskCheck.FileSystemOf(MountInfo, path));

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

    // docs/architecture.md, section 7.
    [Fact]
    public void The_budgets_add_up_as_documented() =>
        Assert.Equal((256L + 512 + 256 + 32 + (8 * 16) + 290) << 20, MachineCheck.MemoryNeeded(new StoreOptions()));

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
        Assert.False(Assert.Single(NbdCheck.Judge(0, [])).IsGood);
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
        Assert.Equal(["tank"], ZfsCheck.PoolsOnNbd(Status));
        Assert.Empty(ZfsCheck.PoolsOnNbd("no pools available\n"));
        Finding[] findings = [.. ZfsCheck.Pools(
            "rpool\tashift\t9\tlocal\nrpool\tfailmode\tpanic\tlocal\ntank\tashift\t9\tlocal\ntank\tfailmode\twait\tdefault\n", ["tank"])];
        Finding finding = Assert.Single(findings);
        Assert.Equal(("zfs tank", false), (finding.What, finding.IsGood));
        Assert.Contains("ashift=12", finding.Advice, StringComparison.Ordinal);
        Assert.True(Assert.Single(ZfsCheck.Pools("tank\tashift\t12\tlocal\n", ["tank"])).IsGood);
        Assert.False(Assert.Single(ZfsCheck.Pools("tank\tfailmode\tcontinue\tlocal\n", ["tank"])).IsGood);
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
        Finding? finding = ZfsCheck.Datasets($"tank/pg\t{property}\tlocal\nrpool/x\t{property}\tlocal\n", ["tank"], serverCompresses).SingleOrDefault();
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
}
