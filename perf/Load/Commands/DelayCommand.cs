using System.CommandLine;
using System.Net;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>delay</c>: latency in front of an S3 server, the same for whoever measures through it.</summary>
internal static class DelayCommand
{
    public static Command Create()
    {
        var port = new Argument<int>("port") { Description = "Where to listen, on the loopback" };
        var target = new Argument<string>("target") { Description = "The server, as ADDRESS:PORT" };
        var median = new Option<double>("--median-ms")
        {
            Description = "Half of the responses come at least so much later",
            DefaultValueFactory = _ => 20,
        };
        var sigma = new Option<double>("--sigma")
        {
            Description = "Spread of the log-normal law; 0 for none",
            DefaultValueFactory = _ => LatencyLaw.DefaultSigma,
        };
        var seed = LoadArguments.Seed();
        var counts = new Option<string?>("--counts")
        {
            Description = "Write requests and bytes to this file, in JSON, once a second and at the end",
        };
        var command = new Command("delay", "Put latency in front of an HTTP server, until interrupted")
        {
            port, target, median, sigma, seed, counts,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetValue(port),
            IPEndPoint.TryParse(parsed.GetRequiredValue(target), out var server)
                ? server
                : throw new FormatException("The target is not of the form ADDRESS:PORT."),
            new LatencyLaw(
                TimeSpan.FromMilliseconds(parsed.GetValue(median)), parsed.GetValue(sigma), parsed.GetValue(seed)),
            parsed.GetValue(counts),
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        int port, IPEndPoint target, LatencyLaw law, string? countsPath, CancellationToken cancellation)
    {
        using var proxy = new DelayProxy(port, target, law);
        var running = proxy.RunAsync(cancellation);
        try
        {
            while (countsPath is not null)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), cancellation);
                Write(proxy, countsPath);
            }
        }
        catch (OperationCanceledException)
        {
            // The proxy ends as well.
        }

        await running;
        if (countsPath is not null) Write(proxy, countsPath);
        return 0;
    }

    private static void Write(DelayProxy proxy, string path)
    {
        // A reader never sees half of it.
        File.WriteAllText(path + ".new", JsonFile.Serialize(proxy.Counts.Read()));
        File.Move(path + ".new", path, overwrite: true);
    }
}
