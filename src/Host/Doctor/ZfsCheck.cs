using System.Globalization;
using ZeroFlow.Host.Setup;

namespace ZeroFlow.Host.Doctor;

/// <summary>What OpenZFS does above the block devices, judged from what zpool and zfs print. Pure.</summary>
internal static class ZfsCheck
{
    private const int GoodShift = 12;
    private const long RecordBytesMax = 32 << 10;
    private const int TransactionSecondsMax = 15;

    /// <summary>The pools that have a member on an NBD device, from <c>zpool status -P -L</c>.</summary>
    public static IReadOnlyList<string> PoolsOnNbd(string status)
    {
        var pools = new List<string>();
        string pool = "";
        foreach (string line in status.Split('\n'))
        {
            string text = line.Trim();
            if (text.StartsWith("pool: ", StringComparison.Ordinal)) pool = text["pool: ".Length..];
            else if (text.StartsWith("/dev/nbd", StringComparison.Ordinal) && !pools.Contains(pool)) pools.Add(pool);
        }

        return pools;
    }

    /// <summary>Judges <c>zpool get -H -p ashift,failmode</c>: lines of pool, property, value, source.</summary>
    public static IEnumerable<Finding> Pools(string properties, IReadOnlyList<string> pools)
    {
        foreach (string[] line in Lines(properties, 3))
        {
            (string pool, string name, string value) = (line[0], line[1], line[2]);
            if (!pools.Contains(pool)) continue;
            if (name == "ashift" && int.TryParse(value, CultureInfo.InvariantCulture, out int shift))
            {
                yield return shift is 0 or >= GoodShift
                    ? new Finding($"zfs {pool}", true, shift == 0 ? "ashift is chosen for each disk." : $"ashift={shift}.", shift == 0 ? "Say -o ashift=12 when disks are added." : null)
                    : new Finding(
                        $"zfs {pool}", false, $"ashift={shift}: blocks may be as small as {1 << shift} bytes.",
                        "Make the pool anew with -o ashift=12: small blocks are many small requests and more metadata on both sides.");
            }

            if (name == "failmode" && value != "wait")
            {
                yield return new Finding(
                    $"zfs {pool}", false, $"failmode={value}.",
                    $"zpool set failmode=wait {pool}: after an outage the pool goes on where it stood (zpool clear), instead of failing writes or the machine.");
            }
        }
    }

    /// <summary>
    /// Judges <c>zfs get -H -p -t filesystem,volume recordsize,compression,sync,logbias,atime</c>: lines of dataset,
    /// property, value, source.
    /// </summary>
    /// <param name="properties">The lines.</param>
    /// <param name="pools">The pools to look at.</param>
    /// <param name="serverCompresses">Tuning:CompressionLevel is not 0.</param>
    /// <param name="database">
    /// The dataset of PostgreSQL's data directory; null when it is not known. Only its records are rewritten page by page.
    /// </param>
    public static IEnumerable<Finding> Datasets(string properties, IReadOnlyList<string> pools, bool serverCompresses, string? database)
    {
        foreach (string[] line in Lines(properties, 3))
        {
            if (!pools.Contains(line[0].Split('/')[0])) continue;
            if (line[1] == "recordsize" && database is not null && line[0] != database) continue;
            if (Judge(line[0], line[1], line[2], serverCompresses) is { } finding) yield return finding;
        }
    }

    /// <summary>Judges the module's parameter zfs_txg_timeout, in seconds.</summary>
    public static Finding? TransactionTime(string? seconds) =>
        !int.TryParse(seconds, CultureInfo.InvariantCulture, out int value) ? null
        : value <= TransactionSecondsMax ? new Finding("zfs", true, $"A transaction group is written at least every {value} s.")
        : new Finding(
            "zfs", true, $"A transaction group may wait {value} s (zfs_txg_timeout).",
            "Long ones arrive as a flood that fills the server's log, and commits wait behind them; 5 is the default.");

    private static Finding? Judge(string dataset, string name, string value, bool serverCompresses) => (name, value) switch
    {
        ("sync", "disabled") => new Finding(
            $"zfs {dataset}", false, "sync=disabled: a commit waits for nothing.",
            $"zfs set sync=standard {dataset}: otherwise a crash loses the last seconds of transactions that were answered."),
        ("compression", not "off") when serverCompresses => new Finding(
            $"zfs {dataset}", true, $"compression={value}, and the server compresses, too.",
            $"Compress in one place: zfs set compression=off {dataset} (the server's zstd does better on the same data), or "
            + "Tuning:CompressionLevel=0 where the ARC should hold more."),
        ("compression", "off") when !serverCompresses => new Finding(
            $"zfs {dataset}", true, "Nobody compresses.", $"zfs set compression=lz4 {dataset}, or Tuning:CompressionLevel=1: fewer bytes to log, send and pay for."),
        ("logbias", "throughput") => new Finding(
            $"zfs {dataset}", true, "logbias=throughput.",
            $"zfs set logbias=latency {dataset}: otherwise each commit writes whole records in place, which later reads pay for."),
        ("recordsize", _) when long.TryParse(value, CultureInfo.InvariantCulture, out long bytes) && bytes > RecordBytesMax => new Finding(
            $"zfs {dataset}", true, $"recordsize={bytes >> 10}K.",
            $"For PostgreSQL's data 8K to 32K: changing one page of 8 KiB rewrites the whole record. zfs set recordsize=8K {dataset} counts for new files; logs and backups may stay."),
        ("atime", "on") => new Finding($"zfs {dataset}", true, "atime=on.", $"zfs set atime=off {dataset}: otherwise reading writes."),
        _ => null,
    };

    private static IEnumerable<string[]> Lines(string text, int fields) =>
        text.Split('\n').Select(line => line.Split('\t')).Where(line => line.Length >= fields);
}
