using System.CommandLine;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Traces;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>compare-replay</c>: traces against several servers, taking turns on the same machine.</summary>
internal static class CompareReplayCommand
{
    public static Command Create()
    {
        var traces = new Argument<string[]>("traces") { Description = "Of any format that replay reads" };
        var peers = new Option<string>("--peers")
        {
            Description = "Of: " + string.Join(", ", Peer.All.Select(peer => peer.Name)),
            DefaultValueFactory = _ => "nbdkit-file,qemu-nbd",
        };
        var depth = new Option<int>("--depth")
        {
            Description = "Of the closed loop; 0 for none",
            DefaultValueFactory = _ => 8,
        };
        var speed = new Option<double>("--speed")
        {
            Description = "Of the open loop; 0 for none",
            DefaultValueFactory = _ => 10,
        };
        var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 3 };
        var seconds = new Option<double?>("--seconds") { Description = "At most so many seconds of each trace's time" };
        var warmup = LoadArguments.Warmup();
        var zeroflow = new Option<string?>("--zeroflow") { Description = "Published host: a program or a .dll" };
        var store = new Option<string?>("--store") { Description = "Object store of ZeroFlow; else a directory" };
        var directory = new Option<string?>("--dir") { Description = "Where peers keep their files; a temporary one" };
        var ratio = LoadArguments.Ratio();
        var output = new Option<string>("--out")
        {
            Description = "Writes this path with .json, .md and plots (.svg)",
            Required = true,
        };
        var title = new Option<string>("--title") { DefaultValueFactory = _ => "Traces replayed side by side" };
        var command = new Command("compare-replay", "Start several servers in turns and replay traces against them")
        {
            traces, peers, depth, speed, rounds, seconds, warmup, zeroflow, store, directory, ratio, output, title,
        };
        command.SetAction(parsed =>
        {
            var time = parsed.GetValue(seconds) is { } limit ? TimeSpan.FromSeconds(limit) : TimeSpan.MaxValue;
            var report = new ReplayComparison(
                new ReplayPlan
                {
                    Peers = [.. parsed.GetRequiredValue(peers).Split(',').Select(Peer.Named)],
                    Traces = [.. parsed.GetRequiredValue(traces).Select(path =>
                        TraceFile.Load(path).Head(int.MaxValue, time))],
                    Depth = parsed.GetValue(depth) is > 0 and var closed ? closed : null,
                    Speed = parsed.GetValue(speed) is > 0 and var open ? open : null,
                    Rounds = parsed.GetValue(rounds),
                    Warmup = TimeSpan.FromSeconds(parsed.GetValue(warmup)),
                    ZeroFlowPath = parsed.GetValue(zeroflow) is { } path ? Path.GetFullPath(path) : null,
                    StoreUrl = parsed.GetValue(store),
                    Directory = parsed.GetValue(directory) ?? Path.GetTempPath(),
                    CompressRatio = parsed.GetValue(ratio),
                },
                Console.Error).Run();
            ReportFiles.Write(parsed.GetRequiredValue(output), report, parsed.GetRequiredValue(title));
            return report.Failures.Count == 0 ? 0 : 1;
        });
        return command;
    }
}
