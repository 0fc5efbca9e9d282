using System.CommandLine;
using System.Globalization;
using System.Net;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>compare-s3</c>: servers over an S3 server at several latencies, beside plain requests.</summary>
internal static class CompareS3Command
{
    public static Command Create()
    {
        var server = new Argument<string>("server")
        {
            Description = "The S3 server, as ADDRESS:PORT; credentials as in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
        };
        var bucket = new Argument<string>("bucket") { Description = "It must exist; what is written stays in it" };
        var zeroflow = new Option<string>("--zeroflow") { Description = "Published host", Required = true };
        var medians = new Option<string>("--latencies")
        {
            Description = "Medians of the added latency, in milliseconds",
            DefaultValueFactory = _ => "0,5,20,50,100",
        };
        var sigma = new Option<double>("--sigma") { DefaultValueFactory = _ => LatencyLaw.DefaultSigma };
        var writers = new Option<string>("--writers")
        {
            Description = "Peers whose random writes are compared",
            DefaultValueFactory = _ => "zeroflow,zeroflow-published,s3backer-sync,s3backer-back",
        };
        var rounds = new Option<int>("--rounds") { DefaultValueFactory = _ => 3 };
        var seconds = LoadArguments.Seconds(3);
        var region = new Option<int>("--region-mib") { DefaultValueFactory = _ => 1024 };
        var directory = new Option<string?>("--dir") { Description = "Where servers keep their files" };
        var output = new Option<string>("--out")
        {
            Description = "Writes this path with .json, .md and plots (.svg)",
            Required = true,
        };
        var title = new Option<string>("--title") { DefaultValueFactory = _ => "ZeroFlow over S3 at a distance" };
        var command = new Command("compare-s3", "Measure servers over S3 through a proxy that adds latency")
        {
            server, bucket, zeroflow, medians, sigma, writers, rounds, seconds, region, directory, output, title,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            var place = new S3Place(
                IPEndPoint.Parse(parsed.GetRequiredValue(server)), parsed.GetRequiredValue(bucket));
            var plan = new S3Plan
            {
                Place = place,
                MediansMs = [.. parsed.GetRequiredValue(medians).Split(',')
                    .Select(text => double.Parse(text, CultureInfo.InvariantCulture))],
                Sigma = parsed.GetValue(sigma),
                Rounds = parsed.GetValue(rounds),
                Duration = TimeSpan.FromSeconds(parsed.GetValue(seconds)),
                RegionBytes = parsed.GetValue(region) * 1024L * 1024,
                ZeroFlowPath = Path.GetFullPath(parsed.GetRequiredValue(zeroflow)),
                Directory = parsed.GetValue(directory) ?? Path.GetTempPath(),
                Writers = [.. parsed.GetRequiredValue(writers)
                    .Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Peer.Named)],
            };
            var report = await new S3Comparison(plan, Console.Error).RunAsync(cancellation);
            ReportFiles.Write(parsed.GetRequiredValue(output), report, parsed.GetRequiredValue(title));
            return report.Failures.Count == 0 ? 0 : 1;
        });
        return command;
    }
}
