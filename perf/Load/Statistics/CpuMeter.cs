using System.Globalization;

namespace ZeroFlow.Perf.Statistics;

/// <summary>
/// CPU used over an interval. Busy and Steal are shares of all cores' time: near 1 means that client and server fought
/// for the machine; steal means that a neighbour had it. Both are sampled at the timer tick, so they are coarse.
/// </summary>
internal sealed record CpuUse(double? ServerSeconds, double ClientSeconds, double BusyShare, double StealShare);

/// <summary>Reads CPU counters at the begin and at the end of an interval. Counters tick at 10 ms.</summary>
internal sealed class CpuMeter
{
    // USER_HZ is 100 on every Linux architecture that .NET runs on.
    private const double TicksPerSecond = 100;

    private readonly int? _serverPid;
    private readonly double? _server;
    private readonly TimeSpan _client;
    private readonly long[] _machine;

    private CpuMeter(int? serverPid)
    {
        _serverPid = serverPid;
        _server = ReadProcessSeconds(serverPid);
        _client = Environment.CpuUsage.TotalTime;
        _machine = ReadMachineTicks();
    }

    public static CpuMeter Start(int? serverPid) => new(serverPid);

    public CpuUse Stop()
    {
        var spent = ReadMachineTicks().Zip(_machine, (after, before) => (double)(after - before)).ToArray();

        // user nice system idle iowait irq softirq steal; guest time is within user already.
        var all = Math.Max(1, spent[..8].Sum());
        return new CpuUse(
            ReadProcessSeconds(_serverPid) - _server,
            (Environment.CpuUsage.TotalTime - _client).TotalSeconds,
            1 - ((spent[3] + spent[4]) / all),
            spent[7] / all);
    }

    private static double? ReadProcessSeconds(int? pid)
    {
        if (pid is null) return null;

        // The command stands in parentheses and may hold spaces: fields count from behind the last parenthesis.
        var text = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return (ParseTicks(fields[11]) + ParseTicks(fields[12])) / TicksPerSecond;
    }

    private static long[] ReadMachineTicks()
    {
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return [.. fields.Skip(1).Select(ParseTicks)];
    }

    private static long ParseTicks(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
