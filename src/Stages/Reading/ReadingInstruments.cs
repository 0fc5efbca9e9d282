using System.Diagnostics.Metrics;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Stages.Reading;

/// <summary>The instruments of the read path. They read plain counters when somebody asks.</summary>
internal static class ReadingInstruments
{
    public static void Register(
        PipelineMetrics metrics, FrameMemoryCache memory, FrameDiskCache? disk, FrameReader reader)
    {
        metrics.Meter.CreateObservableCounter(
            "zeroflow.cache.requests", () => Requests(memory, disk, reader), "{request}",
            "Frames looked for, by tier and by whether they were there.");
        metrics.Meter.CreateObservableGauge(
            "zeroflow.cache.bytes", () => Bytes(memory, disk), "By", "Bytes that a cache holds.");
        metrics.Meter.CreateObservableCounter(
            "zeroflow.cache.evictions", () => memory.Evictions, "{frame}", "Frames that left memory to make room.");
        metrics.Meter.CreateObservableCounter(
            "zeroflow.cache.drops", () => disk?.Drops ?? 0, "{frame}", "Frames that the disk cache did not take.");
        metrics.Meter.CreateObservableGauge(
            "zeroflow.cache.enabled", () => disk is { IsOn: true } ? 1 : 0, null,
            "Whether the disk cache is in use; it turns itself off when its disk fails.");
        metrics.Meter.CreateObservableCounter(
            "zeroflow.readahead.bytes", () => reader.ReadAheadBytes, "By", "Bytes that read-ahead fetched.");
    }

    private static IEnumerable<Measurement<long>> Requests(
        FrameMemoryCache memory, FrameDiskCache? disk, FrameReader reader)
    {
        yield return Of(memory.Hits, "memory", "hit");
        yield return Of(memory.Misses, "memory", "miss");
        yield return Of(disk?.Hits ?? 0, "disk", "hit");
        yield return Of(disk?.Misses ?? 0, "disk", "miss");
        yield return Of(reader.BucketHits, "bucket", "hit");
        yield return Of(reader.BucketMisses, "bucket", "miss");
    }

    private static IEnumerable<Measurement<long>> Bytes(FrameMemoryCache memory, FrameDiskCache? disk)
    {
        yield return new Measurement<long>(memory.Bytes, new KeyValuePair<string, object?>("tier", "memory"));
        yield return new Measurement<long>(disk?.BytesOnDisk ?? 0, new KeyValuePair<string, object?>("tier", "disk"));
    }

    private static Measurement<long> Of(long count, string tier, string result) => new(
        count,
        new KeyValuePair<string, object?>("tier", tier),
        new KeyValuePair<string, object?>("result", result));
}
