using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Perf.Latency;

/// <summary>What a plain loop of requests measured.</summary>
internal sealed record FloorRun(double PerSecond, double MebibytesPerSecond, LatencySummary Latency);

/// <summary>
/// Plain requests to an object store, with the client that the server itself uses: the floor under what a block device
/// on top of it can do.
/// </summary>
internal sealed class S3Floor(string url) : IAsyncDisposable
{
    private const int ObjectBytes = 16 * 1024 * 1024;

    private readonly IObjectStore _store =
        ObjectStoreFactory.Open(url, TimeProvider.System, NullLoggerFactory.Instance);

    public ValueTask DisposeAsync() => _store.DisposeAsync();

    /// <summary>Makes the objects that reads read.</summary>
    public async Task FillAsync(long bytes)
    {
        var body = new byte[ObjectBytes];
        new Random(1).NextBytes(body);
        await Parallel.ForEachAsync(
            Enumerable.Range(0, ObjectsOf(bytes)), new ParallelOptions { MaxDegreeOfParallelism = 4 },
            async (number, cancellation) => await _store.TryCreateAsync(NameOf(number), body, cancellation));
    }

    /// <summary>One conditional PUT after the other.</summary>
    public Task<FloorRun> PutAsync(int bytes, TimeSpan duration)
    {
        var body = new byte[bytes];
        new Random(2).NextBytes(body);
        var run = Guid.NewGuid().ToString("N");
        return MeasureAsync(1, bytes, duration, (ordinal, _) =>
            _store.TryCreateAsync($"put-{run}/{ordinal:D8}", body, CancellationToken.None));
    }

    /// <summary>Ranged GETs, <paramref name="parallel"/> at a time, of random or successive places.</summary>
    public Task<FloorRun> GetAsync(int bytes, int parallel, bool sequential, long regionBytes, TimeSpan duration)
    {
        var places = (long)ObjectsOf(regionBytes) * (ObjectBytes / bytes);
        var buffers = Enumerable.Range(0, parallel).Select(_ => new byte[bytes]).ToArray();
        var random = new Random(3);
        return MeasureAsync(parallel, bytes, duration, (ordinal, lane) =>
        {
            long place;
            lock (random) place = sequential ? ordinal % places : random.NextInt64(places);
            var offset = place * bytes;
            return _store.ReadRangeAsync(
                NameOf((int)(offset / ObjectBytes)), offset % ObjectBytes, buffers[lane], CancellationToken.None);
        });
    }

    private static async Task<FloorRun> MeasureAsync(
        int lanes, int bytes, TimeSpan duration, Func<long, int, Task> request)
    {
        // The first request of each lane pays for its connection.
        await Task.WhenAll(Enumerable.Range(0, lanes).Select(lane => request(int.MaxValue - lane, lane)));
        var ordinal = -1L;
        var histograms = Enumerable.Range(0, lanes).Select(_ => new LatencyHistogram()).ToArray();
        var begun = LoadWindow.Now();
        var until = begun + (long)duration.TotalNanoseconds;
        await Task.WhenAll(Enumerable.Range(0, lanes).Select(lane => Task.Run(async () =>
        {
            for (var started = LoadWindow.Now(); started < until; started = LoadWindow.Now())
            {
                await request(Interlocked.Increment(ref ordinal), lane);
                histograms[lane].Record(LoadWindow.Now() - started);
            }
        })));
        var seconds = (LoadWindow.Now() - begun) / 1e9;
        foreach (var histogram in histograms[1..]) histograms[0].Add(histogram);
        var perSecond = histograms[0].Count / seconds;
        return new FloorRun(perSecond, perSecond * bytes / (1024 * 1024), LatencySummary.Of(histograms[0]));
    }

    private static int ObjectsOf(long bytes) => (int)Math.Max(1, bytes / ObjectBytes);

    private static string NameOf(int number) => $"plain/{number:D6}";
}
