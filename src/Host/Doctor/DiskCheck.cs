using System.Globalization;
using System.Security.Cryptography;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Setup;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Doctor;

/// <summary>The disk of the data directory: what it is, how much room it has, how fast it syncs.</summary>
internal static class DiskCheck
{
    private const int SyncCount = 50;
    private const int SyncBytes = 4096;

    private static readonly TimeSpan SlowSync = TimeSpan.FromMilliseconds(5);

    // A disk that syncs 4 KiB faster than any flash with power-loss protection does has not written anything.
    private static readonly TimeSpan TooFastSync = TimeSpan.FromMicroseconds(8);

    /// <summary>
    /// The type of the file system that holds <paramref name="path"/> and what is mounted (a device, a dataset), by
    /// /proc/self/mountinfo: the last of the mounts whose mount point is the longest that leads to it. Null when there is none.
    /// </summary>
    public static (string Type, string Source)? MountOf(string mountInfo, string path)
    {
        (string, string)? found = null;
        int longest = -1;
        foreach (string line in mountInfo.Split('\n'))
        {
            // 36 35 98:0 /root /mount/point options optional-fields - type source super-options
            string[] halves = line.Split(" - ", 2);
            string[] before = halves[0].Split(' ');
            if (halves.Length < 2 || before.Length < 5) continue;
            string point = before[4].Replace("\\040", " ", StringComparison.Ordinal);
            bool leadsThere = point == "/" || path == point || path.StartsWith(point + "/", StringComparison.Ordinal);
            if (!leadsThere || point.Length < longest) continue;
            longest = point.Length;
            string[] after = halves[1].Split(' ');
            found = (after[0], after.ElementAtOrDefault(1) ?? "");
        }

        return found;
    }

    /// <summary>Judges a file system for the log.</summary>
    public static Finding FileSystem(string? type) => type switch
    {
        null => new Finding("file system", true, "It cannot be told which file system holds the data directory."),
        "tmpfs" or "ramfs" => new Finding(
            "file system", false, $"The data directory is on {type}.", "Move it to a disk: what was answered and not published would be lost with the power."),
        "overlay" => new Finding(
            "file system", false, "The data directory is on overlay, the layer of a container.",
            "Give it a volume: the layer goes with the container, and the log with it."),
        "nfs" or "nfs4" or "cifs" or "fuse.sshfs" or "9p" => new Finding(
            "file system", false, $"The data directory is on {type}, a network file system.",
            "Take a local disk: each commit waits for its sync, and a second server could be given the same directory."),
        "zfs" => new Finding(
            "file system", true, "The data directory is on zfs.",
            "A dataset of its own with sync=standard, recordsize=1M and compression=off is best: the log is written in order and encrypted."),
        "btrfs" => new Finding(
            "file system", true, "The data directory is on btrfs.", "Set chattr +C on it before the first start: copying the log on each write costs sync time."),
        _ => new Finding("file system", true, $"The data directory is on {type}."),
    };

    /// <summary>Compares what the log and the cache may grow to with what is free or taken by them already.</summary>
    public static Finding Space(long freeBytes, long ownBytes, StoreOptions tuning)
    {
        long needed = tuning.WalBytes + tuning.DiskCacheBytes;
        long left = needed - ownBytes;
        string says = $"The log and the cache may take {Quantities.FormatSize(needed)}, and have {Quantities.FormatSize(ownBytes)}; {Quantities.FormatSize(freeBytes)} are free.";
        return left <= freeBytes
            ? new Finding("space", true, says)
            : new Finding("space", false, says, "Lower Tuning:DiskCacheBytes or Tuning:WalBytes, or use a larger disk: writes wait when the disk is full.");
    }

    /// <summary>Judges the time of a write with its sync.</summary>
    public static Finding Sync(IReadOnlyList<TimeSpan> times)
    {
        TimeSpan[] sorted = [.. times.Order()];
        (TimeSpan median, TimeSpan high) = (sorted[sorted.Length / 2], sorted[sorted.Length * 95 / 100]);
        string says = string.Create(
            CultureInfo.InvariantCulture,
            $"Writing 4 KiB and syncing takes {median.TotalMilliseconds:0.000} ms (median of {sorted.Length}), {high.TotalMilliseconds:0.000} ms at the 95th percentile.");
        if (median < TooFastSync)
            return new Finding("sync", false, says, "No disk is that fast: its syncs are not done. Look for a volatile cache, nobarrier, or a hypervisor that ignores flushes.");
        return median <= SlowSync
            ? new Finding("sync", true, says)
            : new Finding("sync", true, says, "Each commit takes at least that long: put the data directory's wal/ on flash with power-loss protection.");
    }

    /// <summary>Measures it in <paramref name="directory"/>, with a file that is deleted again.</summary>
    /// <exception cref="IOException">The directory cannot be written to.</exception>
    public static IReadOnlyList<TimeSpan> MeasureSync(string directory, TimeProvider time)
    {
        string path = Path.Combine(directory, $".doctor-{Environment.ProcessId}");
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            BufferSize = 0,
            Options = FileOptions.DeleteOnClose,
        };
        using var file = new FileStream(path, options);
        var block = new byte[SyncBytes];
        RandomNumberGenerator.Fill(block);
        var times = new List<TimeSpan>();
        for (int i = 0; i < SyncCount; i++)
        {
            long start = time.GetTimestamp();
            file.Write(block);
            file.Flush(flushToDisk: true);
            times.Add(time.GetElapsedTime(start));
        }

        return times;
    }

    /// <summary>Bytes that files below a directory take; 0 when it is not there.</summary>
    public static long SizeOf(string directory) => !Directory.Exists(directory)
        ? 0
        : new DirectoryInfo(directory).EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }).Sum(file => file.Length);
}
