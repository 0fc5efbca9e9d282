using System.CommandLine;
using System.Globalization;
using System.Net;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Pgbench;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>compare-pgbench</c>: PostgreSQL on ZFS in a guest, on several servers in turns.</summary>
internal static class ComparePgbenchCommand
{
    public static Command Create()
    {
        var server = new Argument<string>("server")
        {
            Description = "The S3 server, as ADDRESS:PORT; credentials as in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
        };
        var bucket = new Argument<string>("bucket") { Description = "It must exist; what is written stays in it" };
        var zeroflow = new Option<string>("--zeroflow") { Description = "Published host", Required = true };
        var root = new Option<string>("--root") { Description = "The repository, for its scripts", DefaultValueFactory = _ => "." };
        var peers = Backends();
        var medians = new Option<string>("--latencies")
        {
            Description = "Medians of the added latency, in milliseconds",
            DefaultValueFactory = _ => "0,20",
        };
        var scales = Scales();
        var sigma = new Option<double>("--sigma") { DefaultValueFactory = _ => LatencyLaw.DefaultSigma };
        var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 2 };
        var seconds = new Option<int>("--seconds") { Description = "Of each mode", DefaultValueFactory = _ => 15 };
        var clients = new Option<int>("--clients") { DefaultValueFactory = _ => 8 };
        var device = new Option<int>("--device-mib") { DefaultValueFactory = _ => 4096 };
        var patience = new Option<double>("--patience-minutes")
        {
            Description = "What one step of one backend may take",
            DefaultValueFactory = _ => 10,
        };
        var limit = new Option<double?>("--minutes") { Description = "After so many no further backend begins, and the report says which" };
        var note = new Option<string?>("--note") { Description = "What a reader of the figures must know, as a sentence" };
        var directory = new Option<string?>("--dir") { Description = "Where servers keep their files" };
        var output = new Option<string>("--out")
        {
            Description = "Writes this path with .json, .md and plots (.svg)",
            Required = true,
        };
        var title = new Option<string>("--title") { DefaultValueFactory = _ => "PostgreSQL on ZFS on NBD servers" };
        var command = new Command("compare-pgbench", "Run pgbench on PostgreSQL on ZFS in a guest, on several servers in turns")
        {
            server, bucket, zeroflow, root, peers, medians, scales, sigma, rounds, seconds, clients, device, patience, limit,
            note, directory, output, title,
        };
        command.SetAction(async (parsed, stop) =>
        {
            var plan = new PgbenchPlan
            {
                Place = new S3Place(IPEndPoint.Parse(parsed.GetRequiredValue(server)), parsed.GetRequiredValue(bucket)),
                Backends = PgbenchBackend.Of(
                    parsed.GetRequiredValue(peers).Split(',').Select(Peer.Named),
                    [.. parsed.GetRequiredValue(medians).Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture))]),
                Scales = [.. parsed.GetRequiredValue(scales).Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture))],
                Rounds = parsed.GetValue(rounds),
                Seconds = parsed.GetValue(seconds),
                Clients = parsed.GetValue(clients),
                Sigma = parsed.GetValue(sigma),
                DeviceBytes = parsed.GetValue(device) * 1024L * 1024,
                Patience = TimeSpan.FromMinutes(parsed.GetValue(patience)),
                TimeMax = TimeSpan.FromMinutes(parsed.GetValue(limit) ?? 1440),
                Note = parsed.GetValue(note),
                ZeroFlowPath = Path.GetFullPath(parsed.GetRequiredValue(zeroflow)),
                Directory = parsed.GetValue(directory) ?? Path.GetTempPath(),
                Root = Path.GetFullPath(parsed.GetRequiredValue(root)),
            };
            var report = await new PgbenchComparison(plan, Console.Error).RunAsync(stop);
            if (stop.IsCancellationRequested) return 130;
            ReportFiles.Write(parsed.GetRequiredValue(output), report, parsed.GetRequiredValue(title));
            return report.Failures.Count == 0 ? 0 : 1;
        });
        return command;
    }

    private static Option<string> Backends() => new Option<string>("--peers")
    {
        Description = "Of: " + string.Join(", ", Peer.All.Select(peer => peer.Name)),
        DefaultValueFactory = _ => "zeroflow,zeroflow-published,nbdkit-file,s3backer-sync,emulated-barrier",
    };

    private static Option<string> Scales() => new Option<string>("--scales")
    {
        Description = "Of pgbench, about 16 MB each; PostgreSQL and ZFS have 96 MiB of memory",
        DefaultValueFactory = _ => "2,20",
    };
}
