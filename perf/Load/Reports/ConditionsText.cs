using System.Globalization;
using System.Text;
using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Reports;

/// <summary>What every report in Markdown begins with: the machine, the servers, and the floor under a FLUSH.</summary>
internal static class ConditionsText
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;

    /// <summary>A list; <paramref name="commands"/> adds how each server was started.</summary>
    public static void Append(
        StringBuilder text, Conditions conditions, IEnumerable<string> peers,
        IReadOnlyDictionary<string, string> promises, IReadOnlyDictionary<string, string>? commands = null)
    {
        void Line(string name, string value) => text.Append(Invariant, $"- {name}: {value}\n");
        Line("Date", conditions.Date.ToString("yyyy-MM-dd HH:mm 'UTC'", Invariant));
        Line("Machine", string.Create(
            Invariant,
            $"{conditions.Cores} cores ({conditions.Processor}), {conditions.MemoryMib} MiB, {conditions.Filesystem}"));
        Line("Kernel, runtime", $"{conditions.Kernel}; {conditions.Runtime}");
        Line("Commit", conditions.Commit);
        Line("Load average before, after", $"{conditions.LoadAverageBefore}; {conditions.LoadAverageAfter}");
        foreach (var peer in peers)
        {
            var version = conditions.Versions.TryGetValue(peer, out var found) ? $" ({found})" : "";
            Line($"`{peer}`{version}", promises[peer]);
            if (commands?.TryGetValue(peer, out var command) == true) text.Append($"  - `{command}`\n");
        }
    }

    public static void AppendFloors(StringBuilder text, IReadOnlyList<FloorResult> floors)
    {
        if (floors.Count == 0) return;

        text.Append("## Floor: bare write and fdatasync on the same filesystem\n\n");
        text.Append("| loop | per second | p50 | p99 |\n|---|---:|---:|---:|\n");
        foreach (var group in floors.GroupBy(floor => floor.Name))
        {
            var rate = Show(Spread.Of(group.Select(floor => floor.PerSecond)));
            var p50 = Show(Spread.Of(group.Select(floor => floor.Latency.P50Micros)));
            var p99 = Show(Spread.Of(group.Select(floor => floor.Latency.P99Micros)));
            text.Append(Invariant, $"| {group.Key} | {rate} | {p50} | {p99} |\n");
        }

        text.Append('\n');
    }

    private static string Show(Spread spread) =>
        string.Create(Invariant, $"{spread.Median:F0} ({spread.Min:F0}..{spread.Max:F0})");
}
