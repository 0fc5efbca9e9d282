using System.Globalization;
using System.Text.RegularExpressions;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Doctor;

/// <summary>Memory, clock and limits, judged from what the kernel and timedatectl print. Pure.</summary>
internal static partial class MachineCheck
{
    // The runtime, drafts in the pipeline, payloads of a few connections: the constant in docs/architecture.md, section 7.
    private const long BaseBytes = 350L << 20;
    private const long FilesMin = 4096;

    /// <summary>What the budgets add up to, for one server.</summary>
    public static long MemoryNeeded(StoreOptions tuning) =>
        tuning.DirtyMemoryBytes + tuning.MemoryCacheBytes + tuning.MapBytes + tuning.ReadAheadBytes
        + ((tuning.UploadsInFlight + 2L) * tuning.TableBytes) + BaseBytes;

    /// <summary>Compares the budgets with /proc/meminfo.</summary>
    public static Finding Memory(string memInfo, StoreOptions tuning)
    {
        if (!TryReadKib(memInfo, "MemTotal", out long total) || !TryReadKib(memInfo, "MemAvailable", out long available))
            return new Finding("memory", true, "The size of the memory cannot be told here.");
        long needed = MemoryNeeded(tuning);
        string says = $"The server may take {Quantities.FormatSize(needed)}; the machine has {Quantities.FormatSize(total)}, of which {Quantities.FormatSize(available)} are free.";
        if (needed > total / 4 * 3)
        {
            return new Finding(
                "memory", false, says,
                "Lower Tuning:MemoryCacheBytes or Tuning:DirtyMemoryBytes, or add memory: a server that swaps or is killed for want of "
                + "memory stops the database. ZFS's ARC on the same machine needs memory as well (zfs_arc_max).");
        }

        return needed <= available
            ? new Finding("memory", true, says)
            : new Finding("memory", true, says, "Less is free now than the server may come to need; what holds it (page cache of other programs, ARC) has to give way.");
    }

    /// <summary>Reads what <c>timedatectl show</c> prints.</summary>
    public static Finding Clock(string? timedatectl, string reason)
    {
        const string Why = "Requests to a bucket are signed with the time, and refused when it is off by a quarter of an hour.";
        if (timedatectl is null) return new Finding("clock", true, $"Not looked at: {reason.TrimEnd('.')}.", $"See to it that the clock is kept right. {Why}");
        return timedatectl.Contains("NTPSynchronized=yes", StringComparison.Ordinal)
            ? new Finding("clock", true, "It is synchronized.")
            : new Finding("clock", false, "It is not synchronized.", $"timedatectl set-ntp true, or install chrony. {Why}");
    }

    /// <summary>Reads /proc/self/limits, of this process: the service has its own (LimitNOFILE=).</summary>
    public static Finding OpenFiles(string limits)
    {
        Match line = OpenFilesLine().Match(limits);
        if (!line.Success || !long.TryParse(line.Groups[1].Value, CultureInfo.InvariantCulture, out long hard))
            return new Finding("open files", true, "The limit is not a number, so there is none.");

        // .NET raises its soft limit to the hard one.
        return hard >= FilesMin
            ? new Finding("open files", true, $"The limit is {hard}.")
            : new Finding("open files", false, $"The limit is {hard}.", $"Raise it to {FilesMin} or more (LimitNOFILE= of the service, ulimit -Hn): each client, request to the bucket and log segment takes one.");
    }

    private static bool TryReadKib(string memInfo, string name, out long bytes)
    {
        Match line = Regex.Match(memInfo, $@"^{name}:\s+(\d+) kB", RegexOptions.Multiline | RegexOptions.CultureInvariant);
        bytes = line.Success ? long.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture) * 1024 : 0;
        return line.Success;
    }

    [GeneratedRegex(@"^Max open files\s+\S+\s+(\S+)", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex OpenFilesLine();
}
