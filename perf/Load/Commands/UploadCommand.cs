using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Perf.Commands;

/// <summary>
/// <c>upload</c>: a plain parallel PUT loop of incompressible objects, the floor under the server's drain.
/// </summary>
internal static class UploadCommand
{
    public static Command Create()
    {
        var store = new Option<string>("--store") { Description = "As for zeroflow serve", Required = true };
        var objectMib = new Option<int>("--object-mib") { DefaultValueFactory = _ => 16 };
        var totalMib = new Option<int>("--total-mib") { DefaultValueFactory = _ => 512 };
        var parallel = new Option<int>("--parallel") { DefaultValueFactory = _ => 6 };
        var command = new Command("upload", "Measure plain parallel PUTs to an object store")
        {
            store, objectMib, totalMib, parallel,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed.GetRequiredValue(store), parsed.GetValue(objectMib), parsed.GetValue(totalMib),
            parsed.GetValue(parallel), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        string url, int objectMib, int totalMib, int parallel, CancellationToken cancellation)
    {
        await using IObjectStore store = ObjectStoreFactory.Open(url, TimeProvider.System, NullLoggerFactory.Instance);
        byte[] body = new byte[objectMib << 20];
        new Random(1).NextBytes(body);
        string run = Guid.NewGuid().ToString("N");
        var watch = Stopwatch.StartNew();
        var options = new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellation };
        await Parallel.ForEachAsync(Enumerable.Range(0, totalMib / objectMib), options, async (i, token) =>
            await store.TryCreateAsync(string.Create(CultureInfo.InvariantCulture, $"upload-{run}/{i:D6}"), body, token));
        double seconds = watch.Elapsed.TotalSeconds;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"PUT loop: {totalMib / seconds:F1} MiB/s ({totalMib} MiB in objects of {objectMib} MiB, {parallel} at once)"));
        return 0;
    }
}
