using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ZeroFlow.Perf.Peers;

namespace ZeroFlow.Perf.Reports;

/// <summary>Where and when figures were taken: without this they cannot be compared with others.</summary>
internal sealed record Conditions
{
    public required DateTimeOffset Date { get; init; }

    public required string Kernel { get; init; }

    public required string Processor { get; init; }

    public required int Cores { get; init; }

    public required long MemoryMib { get; init; }

    /// <summary>Of the directory where peers keep their files.</summary>
    public required string Filesystem { get; init; }

    public required string Runtime { get; init; }

    /// <summary>Commit of the working tree, with a plus sign when it has changes; empty outside a repository.</summary>
    public required string Commit { get; init; }

    public required string LoadAverageBefore { get; init; }

    public string LoadAverageAfter { get; init; } = "";

    public required IReadOnlyDictionary<string, string> Versions { get; init; }

    public static Conditions Capture(string directory, IEnumerable<Peer> peers) => new()
    {
        Date = DateTimeOffset.UtcNow,
        Kernel = File.ReadAllText("/proc/sys/kernel/osrelease").Trim() + ", " + RuntimeInformation.OSDescription,
        Processor = ValueOf("/proc/cpuinfo", "model name"),
        Cores = Environment.ProcessorCount,
        MemoryMib = long.Parse(ValueOf("/proc/meminfo", "MemTotal").Split(' ')[0], CultureInfo.InvariantCulture) / 1024,
        Filesystem = new DriveInfo(directory).DriveFormat,
        Runtime = RuntimeInformation.FrameworkDescription,
        Commit = FirstLine("git", "describe --always --dirty=+ --abbrev=12 --exclude=*"),
        LoadAverageBefore = LoadAverage(),
        Versions = peers.Where(peer => peer.VersionCommand.Length > 0)
            .ToDictionary(peer => peer.Name, peer => VersionOf(peer.VersionCommand)),
    };

    /// <summary>Over 1, 5 and 15 minutes.</summary>
    public static string LoadAverage() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3]);

    private static string VersionOf(string command)
    {
        var parts = command.Split(' ', 2);
        return FirstLine(parts[0], parts[1]);
    }

    private static string FirstLine(string program, string arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments)
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            });
            var line = process?.StandardOutput.ReadLine() ?? "";
            process?.WaitForExit();
            return line;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "";
        }
    }

    private static string ValueOf(string path, string key)
    {
        var line = File.ReadLines(path).FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal)) ?? ":";
        return line[(line.IndexOf(':') + 1)..].Trim();
    }
}
