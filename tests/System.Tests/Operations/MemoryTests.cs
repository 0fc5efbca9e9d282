using System.Globalization;
using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Operations;

public sealed partial class MemoryTests(ZeroFlowBinary binary)
{
    private const long Mebi = 1024 * 1024;
    private const long ExportBytes = 64L * 1024 * Mebi;
    private const long MemoryCache = 64 * Mebi;
    private const long Dirty = 64 * Mebi;
    private const long ReadAhead = 8 * Mebi;
    private const long Table = 4 * Mebi;
    private const long Map = 32 * Mebi;
    private const int Uploads = 2;

    // The runtime and its libraries, the buffers of four connections, the disk cache's own, and tables between the cut and
    // the upload that the other budgets do not count, and what checkpoints and merges of pages that are written all over
    // leave to the collector.
    private const long Constant = 350 * Mebi;

    // One minute here, ten in the long form: writes all over 64 GiB, with reads between them.
    [Fact]
    public async Task Random_writes_over_64_GiB_stay_within_the_budgets()
    {
        using var folder = new TestFolder();
        var settings = new ServerSettings(
            await binary.PathAsync(), StorePlace.InDirectory(folder.Make("store")), folder.Make("data"))
        {
            Exports = ["big:64G:journaled"],
            Tuning = new Dictionary<string, string>
            {
                ["MemoryCacheBytes"] = $"{MemoryCache}",
                ["DirtyMemoryBytes"] = $"{Dirty}",
                ["ReadAheadBytes"] = $"{ReadAhead}",
                ["TableBytes"] = $"{Table}",
                ["MapBytes"] = $"{Map}",
                ["UploadsInFlight"] = $"{Uploads}",
                ["DiskCacheBytes"] = "256M",
                ["WalBytes"] = "1G",
                ["WalSegmentBytes"] = "32M",
            },
        };
        await using var server = await ZeroFlowServer.StartAsync(settings);
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(Require.Long ? 10 : 1));
        var written = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => WriteAsync(server.Port, i, stop.Token)));
        var peak = PeakBytes(server.ProcessId);
        var budget = MemoryCache + Dirty + ReadAhead + Map + (Table * (Uploads + 2)) + Constant;
        var figures = $"{written.Sum() / Mebi} MiB written, peak {peak / Mebi} MiB of {budget / Mebi} MiB";
        TestContext.Current.SendDiagnosticMessage(figures);
        Assert.True(written.Sum() > 64 * Mebi, "Too little was written to show anything.");
        Assert.True(peak <= budget, figures);
        Assert.Equal(0, await server.StopAsync());
    }

    private static async Task<long> WriteAsync(int port, int seed, CancellationToken stop)
    {
        var random = new Random(seed);
        var data = new byte[64 * 1024];
        long written = 0;
        await using var client = await NbdClient.ConnectAsync(port, "big");
        while (!stop.IsCancellationRequested)
        {
            var length = 4096 * random.Next(1, 5);
            var offset = random.NextInt64((ExportBytes - data.Length) / 4096) * 4096;
            random.NextBytes(data.AsSpan(0, length));
            await client.WriteAsync(offset, data.AsMemory(0, length));
            written += length;
            if (random.Next(8) == 0)
            {
                await client.ReadAsync(random.NextInt64((ExportBytes - data.Length) / 4096) * 4096, data);
            }

            if (random.Next(32) == 0) await client.FlushAsync();
        }

        return written;
    }

    private static long PeakBytes(int process) =>
        1024 * long.Parse(
            Peak().Match(File.ReadAllText($"/proc/{process}/status")).Groups[1].ValueSpan,
            CultureInfo.InvariantCulture);

    [GeneratedRegex(@"VmHWM:\s+(\d+) kB")]
    private static partial Regex Peak();
}
