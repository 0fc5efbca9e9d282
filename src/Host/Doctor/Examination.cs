using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Setup;

namespace ZeroFlow.Host.Doctor;

/// <summary>Looks at the machine, at ZFS and at PostgreSQL, and has what it reads judged.</summary>
/// <param name="settings">The data directory and the budgets of the server.</param>
/// <param name="connection">How psql reaches PostgreSQL, as a connection string; null for its own defaults.</param>
/// <param name="time">Measures.</param>
internal sealed class Examination(LocalSettings settings, string? connection, TimeProvider time)
{
    private const string MountInfo = "/proc/self/mountinfo";

    /// <summary>Everything that was found, in the order in which it is looked at.</summary>
    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellation)
    {
        List<Finding> findings = [.. Disk()];
        findings.Add(MachineCheck.Memory(ToolRun.ReadFile("/proc/meminfo") ?? "", settings.Tuning));
        (string? clock, string reason) = await ToolRun.AskAsync("timedatectl", ["show", "-p", "NTPSynchronized"], cancellation);
        findings.Add(MachineCheck.Clock(clock, reason));
        findings.Add(MachineCheck.OpenFiles(ToolRun.ReadFile("/proc/self/limits") ?? ""));
        (int? maxPart, IReadOnlyList<NbdDevice> devices) = NbdCheck.Read();
        findings.AddRange(NbdCheck.Judge(maxPart, devices));
        (IReadOnlyList<Finding> postgres, (string Type, string Source)? database) = await PostgresAsync(cancellation);
        findings.AddRange(await ZfsAsync(database?.Source, cancellation));
        findings.AddRange(postgres);
        return findings;
    }

    private IEnumerable<Finding> Disk()
    {
        string directory = settings.DataDirectory;
        string existing = directory;
        while (!Directory.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
        yield return DiskCheck.FileSystem(DiskCheck.MountOf(ToolRun.ReadFile(MountInfo) ?? "", existing)?.Type);
        yield return DiskCheck.Space(new DriveInfo(existing).AvailableFreeSpace, Taken(directory), settings.Tuning);
        yield return Sync(existing);
    }

    private static long Taken(string directory) =>
        DiskCheck.SizeOf(Path.Combine(directory, "wal")) + DiskCheck.SizeOf(Path.Combine(directory, "cache"));

    private Finding Sync(string directory)
    {
        try
        {
            return DiskCheck.Sync(DiskCheck.MeasureSync(directory, time));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return new Finding("sync", false, $"It cannot be measured: {fault.Message}", "Run this as the user of the server, or correct the owner of the data directory.");
        }
    }

    private async Task<IReadOnlyList<Finding>> ZfsAsync(string? database, CancellationToken cancellation)
    {
        (string? status, string reason) = await ToolRun.AskAsync("zpool", ["status", "-P", "-L"], cancellation);
        if (status is null) return [new Finding("zfs", true, $"Not looked at: {reason.TrimEnd('.')}.")];
        IReadOnlyList<string> pools = ZfsCheck.PoolsOnNbd(status);
        if (pools.Count == 0) return [new Finding("zfs", true, "No pool here is on an NBD device.")];
        var findings = new List<Finding>();
        (string? pool, reason) = await ToolRun.AskAsync("zpool", ["get", "-H", "-p", "ashift,failmode"], cancellation);
        findings.AddRange(pool is null ? [new Finding("zfs", true, $"Not looked at: {reason.TrimEnd('.')}.")] : ZfsCheck.Pools(pool, pools));
        (string? sets, reason) = await ToolRun.AskAsync(
            "zfs", ["get", "-H", "-p", "-t", "filesystem,volume", "recordsize,compression,sync,logbias,atime"], cancellation);
        findings.AddRange(
            sets is null ? [new Finding("zfs", true, $"Not looked at: {reason.TrimEnd('.')}.")] : ZfsCheck.Datasets(sets, pools, settings.Tuning.CompressionLevel > 0, database));
        if (ZfsCheck.TransactionTime(ToolRun.ReadFile("/sys/module/zfs/parameters/zfs_txg_timeout")) is { } time) findings.Add(time);
        return findings;
    }

    // What was found, and where the data directory lies, when PostgreSQL says so.
    private async Task<(IReadOnlyList<Finding> Findings, (string Type, string Source)? Mount)> PostgresAsync(CancellationToken cancellation)
    {
        string[] arguments = ["-X", "-A", "-t", "-q", "-w", "-c", PostgresCheck.Query, .. connection is null ? [] : new[] { "-d", connection }];

        // Root is nobody to PostgreSQL; its own user is let in by the socket.
        bool asPostgres = Environment.IsPrivilegedProcess && connection is null;
        (string? lines, string reason) = asPostgres
            ? await ToolRun.AskAsync("runuser", ["-u", "postgres", "--", "psql", .. arguments], cancellation)
            : await ToolRun.AskAsync("psql", arguments, cancellation);
        if (lines is null) return ([new Finding("postgresql", true, $"Not looked at: {reason.TrimEnd('.')}.")], null);
        string directory = lines.Split('\n').FirstOrDefault(line => line.StartsWith("data_directory=", StringComparison.Ordinal))?.Split('=', 2)[1] ?? "";
        (string Type, string Source)? mount = directory.Length > 0 ? DiskCheck.MountOf(ToolRun.ReadFile(MountInfo) ?? "", directory) : null;
        return ([.. PostgresCheck.Judge(lines, mount?.Type)], mount);
    }
}
