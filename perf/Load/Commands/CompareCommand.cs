using System.CommandLine;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>compare</c>: several servers, taking turns on the same machine.</summary>
internal static class CompareCommand
{
    public static Command Create()
    {
        var peers = new Option<string>("--peers")
        {
            Description = "Of: " + string.Join(", ", Peer.All.Select(peer => peer.Name)),
            DefaultValueFactory = _ => "nbdkit-memory,nbdkit-file,qemu-nbd",
        };
        var workloads = new Option<string>("--workloads")
        {
            Description = "Cases NAME@DEPTH[xCONNECTIONS]",
            DefaultValueFactory = _ => string.Join(',', WorkloadCase.DefaultMatrix),
        };
        var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 3 };
        var seconds = LoadArguments.Seconds(3);
        var warmup = LoadArguments.Warmup();
        var output = new Option<string>("--out")
        {
            Description = "Writes this path with .json, .md and plots (.svg)",
            Required = true,
        };
        var title = new Option<string>("--title") { DefaultValueFactory = _ => "NBD servers side by side" };
        var basePeer = new Option<string?>("--base") { Description = "Peer that ratios refer to; else the first" };
        var zeroflow = new Option<string?>("--zeroflow") { Description = "Published host: a program or a .dll" };
        var directory = new Option<string?>("--dir") { Description = "Where peers keep their files; a temporary one" };
        var exportMib = new Option<int>("--export-mib") { DefaultValueFactory = _ => 1024 };
        var region = LoadArguments.RegionMib();
        var settle = new Option<double>("--settle")
        {
            Description = "Seconds of rest after the region was filled",
            DefaultValueFactory = _ => 2,
        };
        var expect = new Option<string?>("--expect")
        {
            Description = "File of ratios that the base must reach (perf/expectations.json); fails otherwise",
        };
        var ratio = LoadArguments.Ratio();
        var seed = LoadArguments.Seed();
        var command = new Command("compare", "Start several servers in turns and compare them")
        {
            peers, workloads, rounds, seconds, warmup, output, title, basePeer, zeroflow, directory, exportMib, region,
            settle, ratio, seed, expect,
        };
        command.SetAction(parsed =>
        {
            var chosen = parsed.GetRequiredValue(peers).Split(',').Select(Peer.Named).ToArray();
            var plan = new ComparePlan
            {
                Peers = chosen,
                Cases = [.. parsed.GetRequiredValue(workloads).Split(',').Select(WorkloadCase.Parse)],
                Rounds = parsed.GetValue(rounds),
                Duration = TimeSpan.FromSeconds(parsed.GetValue(seconds)),
                Warmup = TimeSpan.FromSeconds(parsed.GetValue(warmup)),
                Base = Peer.Named(parsed.GetValue(basePeer) ?? chosen[0].Name),
                ZeroFlowPath = parsed.GetValue(zeroflow) is { } path ? Path.GetFullPath(path) : null,
                Directory = parsed.GetValue(directory) ?? Path.GetTempPath(),
                ExportMib = parsed.GetValue(exportMib),
                RegionMib = parsed.GetValue(region),
                Settle = TimeSpan.FromSeconds(parsed.GetValue(settle)),
                CompressRatio = parsed.GetValue(ratio),
                Seed = parsed.GetValue(seed),
            };
            var report = new Comparison(plan, Console.Error).Run();
            ReportFiles.Write(parsed.GetRequiredValue(output), report, parsed.GetRequiredValue(title));
            bool isMet = IsMet(report, plan.Base, parsed.GetValue(expect));
            return report.Failures.Count == 0 && isMet ? 0 : 1;
        });
        return command;
    }

    private static bool IsMet(CompareReport report, Peer server, string? expectations)
    {
        if (expectations is null) return true;
        var results = Expectations.Check(Expectations.Parse(File.ReadAllText(expectations)), report.Lines, server.Name);
        Console.Out.Write(Expectations.TextOf(results));
        return results.All(result => result.IsMet);
    }
}
