using System.CommandLine;
using System.IO.Compression;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Recording;
using ZeroFlow.Perf.Traces;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>record</c>: a transparent proxy that writes down what clients ask of a server.</summary>
internal static class RecordCommand
{
    public static Command Create()
    {
        var listen = new Argument<string>("listen") { Description = "nbd://host:port or nbd+unix:///?socket=PATH" };
        var target = new Argument<string>("target") { Description = "The server, as listen; clients name the export" };
        var output = new Option<string>("--out")
        {
            Description = "Trace to write; in gzip when the name ends in .gz",
            Required = true,
        };
        var csv = new Option<bool>("--csv") { Description = "Write CSV instead of the binary format" };
        var command = new Command("record", "Record the requests between clients and a server, until interrupted")
        {
            listen, target, output, csv,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            NbdUri.Parse(parsed.GetRequiredValue(listen)), NbdUri.Parse(parsed.GetRequiredValue(target)),
            parsed.GetRequiredValue(output), parsed.GetValue(csv), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        NbdUri listen, NbdUri target, string output, bool csv, CancellationToken cancellation)
    {
        using var sink = OpenSink(output, csv);
        var recorder = new TraceRecorder(sink);
        using var proxy = new RecordingProxy(listen, target, recorder, Console.Error);
        await Console.Error.WriteLineAsync($"Recording what goes to {target}");
        await proxy.RunAsync(cancellation);
        await Console.Error.WriteLineAsync(
            $"{recorder.Requests} requests of {recorder.Connections} connections in {output}");
        return 0;
    }

    private static ITraceSink OpenSink(string path, bool csv)
    {
        Stream stream = File.Create(path);
        if (path.EndsWith(".gz", StringComparison.Ordinal)) stream = new GZipStream(stream, CompressionLevel.Fastest);
        return csv ? new CsvTraceWriter(stream) : new RecordedTraceWriter(stream, DateTimeOffset.UtcNow);
    }
}
