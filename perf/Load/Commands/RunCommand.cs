using System.CommandLine;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>run</c>: one workload against a server that somebody else started.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        var uri = LoadArguments.Uri();
        var workload = new Option<string>("--workload")
        {
            Description = "[rand|seq|once](read|write)SIZE[+flush], flush, mixed, readcommit; or NAME@DEPTHxCOUNT",
            DefaultValueFactory = _ => "read4k",
        };
        var depth = new Option<int>("--depth") { Description = "Lanes per connection", DefaultValueFactory = _ => 1 };
        var connections = new Option<int>("--connections") { DefaultValueFactory = _ => 1 };
        var seconds = LoadArguments.Seconds(5);
        var warmup = LoadArguments.Warmup();
        var region = LoadArguments.RegionMib();
        var rate = new Option<double?>("--rate") { Description = "Open loop: transactions a second in all" };
        var verify = new Option<bool>("--verify") { Description = "Stamp writes and check reads" };
        var fill = new Option<bool>("--fill") { Description = "Write the region once before" };
        var ratio = LoadArguments.Ratio();
        var seed = LoadArguments.Seed();
        var pid = new Option<int?>("--pid") { Description = "The server's process, for its CPU time" };
        var json = new Option<bool>("--json") { Description = "Print JSON" };
        var command = new Command("run", "Run one workload against an NBD server")
        {
            uri, workload, depth, connections, seconds, warmup, region, rate, verify, fill, ratio, seed, pid, json,
        };
        command.SetAction(parsed =>
        {
            var options = new LoadOptions
            {
                Uri = NbdUri.Parse(parsed.GetRequiredValue(uri)),
                Case = LoadArguments.CaseOf(
                    parsed.GetRequiredValue(workload), parsed.GetValue(depth), parsed.GetValue(connections)),
                Duration = TimeSpan.FromSeconds(parsed.GetValue(seconds)),
                Warmup = TimeSpan.FromSeconds(parsed.GetValue(warmup)),
                RegionBytes = parsed.GetValue(region) * 1024L * 1024,
                RatePerSecond = parsed.GetValue(rate),
                Verify = parsed.GetValue(verify),
                CompressRatio = parsed.GetValue(ratio),
                Seed = parsed.GetValue(seed),
                ServerPid = parsed.GetValue(pid),
            };
            if (parsed.GetValue(fill)) LoadRunner.FillRegion(options);
            using var runner = new LoadRunner(options);
            var result = runner.Run();
            Console.Write(parsed.GetValue(json) ? JsonFile.Serialize(result) : ResultText.Of(result));
            return 0;
        });
        return command;
    }
}
