using System.CommandLine;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Nbd;
using ZeroFlow.Perf.Emulation;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>emulate-barrier</c>: an NBD server that pays several round trips for each FLUSH and holds all else meanwhile.</summary>
internal static class EmulateCommand
{
    public const string Name = "emulate-barrier";

    public static Command Create()
    {
        var file = new Argument<string>("file") { Description = "What it serves; its size is the device's" };
        var port = new Argument<int>("port") { Description = "Where to listen, on the loopback" };
        var median = new Option<double>("--median-ms") { Description = "Of a round trip", DefaultValueFactory = _ => 20 };
        var sigma = new Option<double>("--sigma") { DefaultValueFactory = _ => LatencyLaw.DefaultSigma };
        var trips = new Option<int>("--round-trips") { Description = "For each FLUSH", DefaultValueFactory = _ => 4 };
        var command = new Command(Name, "Serve a file as a server with slow FLUSHes would (an emulation; nothing is durable)")
        {
            file, port, median, sigma, trips,
        };
        command.SetAction(async (parsed, stop) =>
        {
            var law = new LatencyLaw(TimeSpan.FromMilliseconds(parsed.GetValue(median)), parsed.GetValue(sigma), seed: 1);
            using var device = new BarrierDevice(parsed.GetRequiredValue(file), law, parsed.GetValue(trips));
            using var metrics = new PipelineMetrics();
            var options = new NbdServerOptions { TcpEndpoints = [new IPEndPoint(IPAddress.Loopback, parsed.GetValue(port))] };
            await using var server = new NbdServer(
                new OneExport(device), options, new BufferPool(64 << 20), metrics, TimeProvider.System,
                NullLogger<NbdServer>.Instance);
            await server.StartAsync(stop);
            try
            {
                await Task.Delay(Timeout.Infinite, stop);
            }
            catch (OperationCanceledException)
            {
                // Told to end.
            }

            return 0;
        });
        return command;
    }
}
