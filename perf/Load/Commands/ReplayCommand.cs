using System.CommandLine;
using System.Globalization;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Traces;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>replay</c>: the requests of a trace against a server that somebody else started.</summary>
internal static class ReplayCommand
{
    public static Command Create()
    {
        var trace = new Argument<string>("trace")
        {
            Description = "Of record, in CSV, of blkparse, of fio (iolog 2 and 3), or of MSR Cambridge; may be in gzip",
        };
        var uri = new Argument<string>("uri")
        {
            Description = "nbd://host:port/export or nbd+unix:///export?socket=PATH",
        };
        var speed = new Option<double?>("--speed") { Description = "Open loop, so many times faster than recorded; 1" };
        var depth = new Option<int?>("--depth") { Description = "Closed loop with so many requests per connection" };
        var connections = new Option<int?>("--connections") { Description = "Default: as many as the trace has" };
        var beyond = new Option<BeyondEnd>("--beyond") { Description = "What lies beyond the device" };
        var device = new Option<string?>("--device") { Description = "Which device of a trace of several" };
        var requests = new Option<int>("--requests")
        {
            Description = "At most so many requests of the trace",
            DefaultValueFactory = _ => int.MaxValue,
        };
        var seconds = new Option<double?>("--seconds") { Description = "At most so many seconds of the trace's time" };
        var verify = new Option<bool>("--verify") { Description = "Stamp writes and check reads" };
        var ratio = LoadArguments.Ratio();
        var seed = LoadArguments.Seed();
        var pid = new Option<int?>("--pid") { Description = "The server's process, for its CPU time" };
        var histogram = new Option<string?>("--histogram") { Description = "Write all latencies to this file, as CSV" };
        var json = new Option<bool>("--json") { Description = "Print JSON" };
        var command = new Command("replay", "Replay a trace against an NBD server")
        {
            trace, uri, speed, depth, connections, beyond, device, requests, seconds, verify, ratio, seed, pid,
            histogram, json,
        };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(speed) is not null && parsed.GetValue(depth) is not null)
                throw new FormatException("--speed is of an open loop and --depth of a closed one: choose.");

            var whole = TraceFile.Load(parsed.GetRequiredValue(trace), parsed.GetValue(device));
            var time = parsed.GetValue(seconds) is { } limit ? TimeSpan.FromSeconds(limit) : TimeSpan.MaxValue;
            return Run(
                whole.Head(parsed.GetValue(requests), time),
                new ReplayOptions
                {
                    Uri = NbdUri.Parse(parsed.GetRequiredValue(uri)),
                    Speed = PositiveOr(parsed.GetValue(speed), 1),
                    Depth = parsed.GetValue(depth),
                    Connections = parsed.GetValue(connections),
                    Beyond = parsed.GetValue(beyond),
                    Verify = parsed.GetValue(verify),
                    CompressRatio = parsed.GetValue(ratio),
                    Seed = parsed.GetValue(seed),
                    ServerPid = parsed.GetValue(pid),
                },
                parsed.GetValue(histogram),
                parsed.GetValue(json));
        });
        return command;
    }

    private static int Run(Trace trace, ReplayOptions options, string? histogramPath, bool json)
    {
        if (trace.Records.Count == 0) throw new FormatException($"{trace.Name} has no requests.");

        using var replay = new TraceReplay(trace, options);
        var result = replay.Run();
        Console.Write(json ? JsonFile.Serialize(result) : ReplayText.Of(result));
        if (histogramPath is not null) WriteHistogram(replay, histogramPath);
        return 0;
    }

    private static void WriteHistogram(TraceReplay replay, string path)
    {
        using var csv = new StreamWriter(path);
        csv.WriteLine("operation,up_to_us,count");
        foreach (var kind in Enum.GetValues<OperationKind>())
        {
            foreach (var (upTo, count) in replay.HistogramOf(kind).Buckets())
                csv.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{kind},{upTo / 1e3:F3},{count}"));
        }
    }

    private static double PositiveOr(double? value, double otherwise) =>
        value is <= 0 ? throw new FormatException("--speed must be more than 0.") : value ?? otherwise;
}
