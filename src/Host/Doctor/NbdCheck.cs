using System.Globalization;
using ZeroFlow.Host.Setup;

namespace ZeroFlow.Host.Doctor;

/// <summary>A block device of the kernel's NBD client that has a size, and so a server.</summary>
/// <param name="Name">Its name, such as nbd0.</param>
/// <param name="RequestKib">Most KiB in one request (queue/max_sectors_kb).</param>
/// <param name="RequestKibMax">Most that it could be set to (queue/max_hw_sectors_kb).</param>
/// <param name="TimeoutSeconds">After how long without an answer the kernel gives up; 0 for never, null when it is not known.</param>
internal sealed record NbdDevice(string Name, int RequestKib, int RequestKibMax, double? TimeoutSeconds);

/// <summary>The kernel's NBD client, as far as this machine has one.</summary>
internal static class NbdCheck
{
    private const int RequestKibGood = 512;
    private const double TimeoutSecondsMin = 60;

    /// <summary>Judges the module and its devices. Pure.</summary>
    /// <param name="maxPart">The module's parameter max_part; null when the module is not loaded.</param>
    /// <param name="devices">The devices that are attached.</param>
    public static IEnumerable<Finding> Judge(int? maxPart, IReadOnlyList<NbdDevice> devices)
    {
        if (maxPart is null)
        {
            yield return new Finding(
                "nbd", true, "The module is not loaded here.", "On the machine that attaches the devices: modprobe nbd, and nbd in /etc/modules-load.d/.");
            yield break;
        }

        // ZFS partitions whole disks, but takes no NBD device for one.
        yield return new Finding(
            "nbd", true, $"The module is loaded, with max_part={maxPart}; {devices.Count} device(s) are attached.",
            maxPart >= 2 ? null : "A partition table on a device would not be seen (ZFS makes none there): options nbd max_part=16 in /etc/modprobe.d/nbd.conf.");
        foreach (NbdDevice device in devices)
        {
            foreach (Finding finding in Judge(device)) yield return finding;
        }
    }

    /// <summary>Reads the devices that /sys shows.</summary>
    public static (int? MaxPart, IReadOnlyList<NbdDevice> Devices) Read(string sys = "/sys")
    {
        if (!Directory.Exists($"{sys}/module/nbd")) return (null, []);
        var devices = new List<NbdDevice>();
        foreach (string path in Directory.EnumerateDirectories($"{sys}/block", "nbd*").Order(StringComparer.Ordinal))
        {
            if (ReadNumber($"{path}/size") is null or 0) continue;
            string name = Path.GetFileName(path);

            // In the kernel's debug directory, in jiffies of a clock of 250 Hz at most distributions; root alone may look.
            double? timeout = ReadNumber($"{sys}/kernel/debug/nbd/{name}/timeout") / 250.0;
            devices.Add(new NbdDevice(
                name, (int)(ReadNumber($"{path}/queue/max_sectors_kb") ?? 0), (int)(ReadNumber($"{path}/queue/max_hw_sectors_kb") ?? 0), timeout));
        }

        return ((int)(ReadNumber($"{sys}/module/nbd/parameters/max_part") ?? 0), devices);
    }

    private static IEnumerable<Finding> Judge(NbdDevice device)
    {
        bool isSmall = device.RequestKib < RequestKibGood && device.RequestKib < device.RequestKibMax;
        yield return new Finding(
            device.Name, true, $"Requests are at most {device.RequestKib} KiB.",
            isSmall
                ? $"Larger ones cost less for each byte: echo {Math.Min(1024, device.RequestKibMax)} > /sys/block/{device.Name}/queue/max_sectors_kb (a udev rule keeps it)."
                : null);
        if (device.TimeoutSeconds is > 0 and < TimeoutSecondsMin)
        {
            yield return new Finding(
                device.Name, false, string.Create(CultureInfo.InvariantCulture, $"The kernel gives a request up after {device.TimeoutSeconds:0.#} s."),
                "A restart of the server or an outage of the bucket would be an I/O error, and suspend the pool: attach with nbd-client and "
                + $"-t 0, or at least {TimeoutSecondsMin:0}.");
        }
    }

    private static long? ReadNumber(string path) =>
        long.TryParse(ToolRun.ReadFile(path), NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null;
}
