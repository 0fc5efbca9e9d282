using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Setup;

/// <summary>One thing that was looked at, and what came of it.</summary>
/// <param name="What">Its name: "bucket", "latency".</param>
/// <param name="IsGood">False when something has to change.</param>
/// <param name="Says">What was found.</param>
/// <param name="Advice">What to do and why; null when there is nothing to do.</param>
internal sealed record Finding(string What, bool IsGood, string Says, string? Advice = null);

/// <summary>Tries out a store before anything depends on it. Leaves nothing behind where it may delete.</summary>
internal sealed class StoreTrial(string url, TimeProvider time)
{
    private const string Prefix = "probe/";
    private const int SmallBytes = 4096;
    private const int SmallCount = 10;
    private const int LargeBytes = 8 << 20;
    private const int LargeInFlight = 4;

    private static readonly TimeSpan SlowPut = TimeSpan.FromMilliseconds(150);

    /// <summary>
    /// Looks at credentials, region, clock, bucket and permissions by doing what the server does, at conditional writes,
    /// at latency and at throughput. Stops at the first trouble: what follows would only repeat it.
    /// </summary>
    public async Task<IReadOnlyList<Finding>> RunAsync(CancellationToken cancellation)
    {
        var findings = new List<Finding>();
        try
        {
            await using IObjectStore store = ObjectStoreFactory.Open(url, time, NullLoggerFactory.Instance);
            findings.Add(await LookAsync(store, cancellation));
            await ConditionalWriteProbe.VerifyAsync(store, new Random(RandomNumberGenerator.GetInt32(int.MaxValue)), cancellation);
            findings.Add(new Finding("conditional writes", true, "A second PUT with If-None-Match: * is refused, as fencing needs it."));
            findings.Add(await MeasureLatencyAsync(store, cancellation));
            findings.Add(await MeasureThroughputAsync(store, cancellation));
        }
        catch (ObjectStoreException fault)
        {
            findings.Add(Explain(fault));
        }

        return findings;
    }

    private Finding Explain(ObjectStoreException fault)
    {
        if (fault.InnerException is null && fault.Message.Contains("create-if-absent", StringComparison.Ordinal))
        {
            return new Finding(
                "conditional writes", false, fault.Message,
                "There is no safe way to use this store. Upgrade its server, or take another one.");
        }

        (string trouble, string advice) = StoreAdvice.For(fault, url);
        return new Finding(trouble, false, fault.Message, advice);
    }

    private static async Task<Finding> LookAsync(IObjectStore store, CancellationToken cancellation)
    {
        bool hasStore = await BlockStore.ExistsAsync(store, cancellation);
        bool isEmpty = true;
        await foreach (ObjectEntry _ in store.ListAsync("", null, cancellation))
        {
            isEmpty = false;
            break;
        }

        if (hasStore)
            return new Finding("bucket", true, $"{store.Location} holds a ZeroFlow store already: its passphrase is needed, a new one does not open it.");
        return isEmpty
            ? new Finding("bucket", true, $"{store.Location} can be read and listed, and is empty.")
            : new Finding("bucket", true, $"{store.Location} can be read and listed. It holds other objects, which are left alone; a prefix of its own would be tidier.");
    }

    private async Task<Finding> MeasureLatencyAsync(IObjectStore store, CancellationToken cancellation)
    {
        byte[] body = RandomNumberGenerator.GetBytes(SmallBytes);
        var puts = new List<TimeSpan>();
        var gets = new List<TimeSpan>();
        var keys = NewKeys(SmallCount);
        try
        {
            foreach (string key in keys)
            {
                long start = time.GetTimestamp();
                await store.TryCreateAsync(key, body, cancellation);
                puts.Add(time.GetElapsedTime(start));
                start = time.GetTimestamp();
                await store.ReadRangeAsync(key, 0, new byte[SmallBytes], cancellation);
                gets.Add(time.GetElapsedTime(start));
            }
        }
        finally
        {
            await DeleteAsync(store, keys, cancellation);
        }

        (TimeSpan put, TimeSpan get) = (Median(puts), Median(gets));
        string says = $"PUT of 4 KiB: {Milliseconds(put)} (median of {SmallCount}, slowest {Milliseconds(puts.Max())}); GET: {Milliseconds(get)}.";
        return new Finding(
            "latency", true, says,
            put <= SlowPut ? null : "A FLUSH of a published export takes one PUT: prefer the level journaled, or a store nearby.");
    }

    private async Task<Finding> MeasureThroughputAsync(IObjectStore store, CancellationToken cancellation)
    {
        byte[] body = RandomNumberGenerator.GetBytes(LargeBytes);
        string[] keys = NewKeys(LargeInFlight);
        try
        {
            long start = time.GetTimestamp();
            await Task.WhenAll(keys.Select(key => store.TryCreateAsync(key, body, cancellation)));
            TimeSpan up = time.GetElapsedTime(start);
            start = time.GetTimestamp();
            await Task.WhenAll(keys.Select(key => store.ReadRangeAsync(key, 0, new byte[LargeBytes], cancellation)));
            TimeSpan down = time.GetElapsedTime(start);
            return new Finding(
                "throughput", true,
                $"{Rate(up)} up and {Rate(down)} down ({LargeInFlight} objects of {LargeBytes >> 20} MiB at once). Writes that go on for longer than "
                + "the log lasts (Tuning:WalBytes) cannot be faster than that.");
        }
        finally
        {
            await DeleteAsync(store, keys, cancellation);
        }
    }

    private static async Task DeleteAsync(IObjectStore store, string[] keys, CancellationToken cancellation)
    {
        foreach (string key in keys)
        {
            try
            {
                await store.DeleteAsync(key, cancellation);
            }
            catch (ObjectStoreException fault) when (fault.Kind != ObjectStoreErrorKind.Denied)
            {
                // A few objects stay behind below probe/. Only that deleting is not allowed is worth telling: the server needs it.
            }
        }
    }

    private static string[] NewKeys(int count) =>
        [.. Enumerable.Range(0, count).Select(_ => Prefix + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)))];

    private static TimeSpan Median(List<TimeSpan> times) => times.Order().ElementAt(times.Count / 2);

    private static string Milliseconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.0} ms");

    private static string Rate(TimeSpan time) =>
        string.Create(CultureInfo.InvariantCulture, $"{(double)LargeBytes * LargeInFlight / (1 << 20) / Math.Max(time.TotalSeconds, 1e-6):0} MiB/s");
}
