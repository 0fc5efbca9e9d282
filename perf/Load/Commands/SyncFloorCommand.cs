using System.CommandLine;
using System.Globalization;
using ZeroFlow.Perf.Micro;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>sync-floor</c>: what the filesystem itself can do.</summary>
internal static class SyncFloorCommand
{
    public static Command Create()
    {
        var directory = new Option<string>("--dir") { Description = "On the filesystem to measure", Required = true };
        var seconds = LoadArguments.Seconds(3);
        var writers = new Option<int>("--writers")
        {
            Description = "Writers of the group-commit log",
            DefaultValueFactory = _ => 32,
        };
        var record = new Option<int>("--record-kib")
        {
            Description = "Size of its records, a multiple of 4",
            DefaultValueFactory = _ => 4,
        };
        var json = new Option<bool>("--json") { Description = "Print JSON" };
        var command = new Command("sync-floor", "Measure bare write and fdatasync, alone and with group commit")
        {
            directory, seconds, writers, record, json,
        };
        command.SetAction(parsed =>
        {
            var path = parsed.GetRequiredValue(directory);
            var duration = TimeSpan.FromSeconds(parsed.GetValue(seconds));
            Directory.CreateDirectory(path);
            FloorResult[] results =
            [
                SyncFloor.Run(path, duration, preallocated: false),
                SyncFloor.Run(path, duration, preallocated: true),
                GroupCommitFloor.Run(path, duration, parsed.GetValue(writers), parsed.GetValue(record) << 10),
            ];
            if (parsed.GetValue(json)) Console.Write(JsonFile.Serialize(results));
            else Print(results);
            return 0;
        });
        return command;
    }

    private static void Print(IEnumerable<FloorResult> results)
    {
        foreach (var result in results)
        {
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{result.Name,-26} {result.PerSecond,9:F0}/s  {result.SyncsPerSecond,7:F0} syncs/s  us: " +
                $"p50 {result.Latency.P50Micros:F0}  p99 {result.Latency.P99Micros:F0}  " +
                $"max {result.Latency.MaxMicros:F0}"));
        }
    }
}
