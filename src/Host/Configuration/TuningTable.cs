using System.Globalization;
using System.Numerics;
using ZeroFlow.Stages;

namespace ZeroFlow.Host.Configuration;

/// <summary>One line of the tuning table: a property of <see cref="StoreOptions"/> and what it may be.</summary>
/// <param name="Name">Name of the property, and the key below <c>Tuning:</c>.</param>
/// <param name="Allowed">What it may be, for messages.</param>
/// <param name="Default">The default as it would be written.</param>
/// <param name="TryApply">Options with the value set, or null when it is not allowed.</param>
internal sealed record TuningRow(
    string Name, string Allowed, string Default, Func<StoreOptions, string, StoreOptions?> TryApply)
{
    /// <summary>The whole key.</summary>
    public string Key => TuningTable.Section + Name;
}

/// <summary>Every property of <see cref="StoreOptions"/> as a key, with its limits.</summary>
internal static class TuningTable
{
    /// <summary>What the keys begin with.</summary>
    public const string Section = "Tuning:";

    private const long K = 1L << 10;
    private const long M = 1L << 20;
    private const long G = 1L << 30;
    private const long T = 1L << 40;

    /// <summary>The rows, in the order of the properties.</summary>
    public static IReadOnlyList<TuningRow> Rows { get; } =
    [
        Size(
            nameof(StoreOptions.TableBytes), 64 * K, 32 * M, o => o.TableBytes,
            (o, v) => o with { TableBytes = (int)v }),
        Duration(
            nameof(StoreOptions.PublishInterval), "1ms", "1h", o => o.PublishInterval,
            (o, v) => o with { PublishInterval = v }),
        Count(
            nameof(StoreOptions.UploadsInFlight), 1, StoreOptions.UploadsInFlightMax, o => o.UploadsInFlight,
            (o, v) => o with { UploadsInFlight = v }),
        Size(nameof(StoreOptions.WalBytes), 4 * M, 64 * T, o => o.WalBytes, (o, v) => o with { WalBytes = v }),
        Size(
            nameof(StoreOptions.WalSegmentBytes), 1 * M, 4 * G, o => o.WalSegmentBytes,
            (o, v) => o with { WalSegmentBytes = v }),
        Duration(
            nameof(StoreOptions.FullDiskPatience), "0s", "1h", o => o.FullDiskPatience,
            (o, v) => o with { FullDiskPatience = v }),
        Size(
            nameof(StoreOptions.DirtyMemoryBytes), 1 * M, 1 * T, o => o.DirtyMemoryBytes,
            (o, v) => o with { DirtyMemoryBytes = v }),
        Size(
            nameof(StoreOptions.MemoryCacheBytes), 0, 4 * T, o => o.MemoryCacheBytes,
            (o, v) => o with { MemoryCacheBytes = v }),
        Size(nameof(StoreOptions.MapBytes), 4 * M, 1 * T, o => o.MapBytes, (o, v) => o with { MapBytes = v }),
        Size(
            nameof(StoreOptions.DiskCacheBytes), 0, 1024 * T, o => o.DiskCacheBytes,
            (o, v) => o with { DiskCacheBytes = v }),
        Size(
            nameof(StoreOptions.ReadAheadBytes), 0, 4 * G, o => o.ReadAheadBytes,
            (o, v) => o with { ReadAheadBytes = v }),
        Count(
            nameof(StoreOptions.CompressionLevel), 0, 19, o => o.CompressionLevel,
            (o, v) => o with { CompressionLevel = v }),
        ChunkBytes(),
        Count(
            nameof(StoreOptions.CheckpointTables), 1, 100_000, o => o.CheckpointTables,
            (o, v) => o with { CheckpointTables = v }),
        Share(nameof(StoreOptions.SettleLiveShare), 0.95, o => o.SettleLiveShare, (o, v) => o with { SettleLiveShare = v }),
        Share(nameof(StoreOptions.MergeShare), 10, o => o.MergeShare, (o, v) => o with { MergeShare = v }),
        Duration(
            nameof(StoreOptions.CheckpointIdle), "0s", "1d", o => o.CheckpointIdle,
            (o, v) => o with { CheckpointIdle = v }),
        Duration(
            nameof(StoreOptions.DeleteGrace), "0s", "30d", o => o.DeleteGrace, (o, v) => o with { DeleteGrace = v }),
        Duration(
            nameof(StoreOptions.Retention), "0s", "365d", o => o.Retention, (o, v) => o with { Retention = v }),
        Duration(
            nameof(StoreOptions.RefusalPatience), "0s", "1h", o => o.RefusalPatience,
            (o, v) => o with { RefusalPatience = v }),
        Duration(
            nameof(StoreOptions.StallThreshold), "100ms", "10m", o => o.StallThreshold,
            (o, v) => o with { StallThreshold = v }),
        Duration(
            nameof(StoreOptions.StopTimeout), "0s", "1h", o => o.StopTimeout, (o, v) => o with { StopTimeout = v }),
    ];

    private static TuningRow Size(
        string name, long min, long max, Func<StoreOptions, long> get, Func<StoreOptions, long, StoreOptions> set) =>
        new(
            name,
            $"{Quantities.SizeForm}, from {Write(min)} to {Write(max)}",
            Write(get(new StoreOptions())),
            (options, text) =>
                Quantities.TryParseSize(text, out long bytes) && bytes >= min && bytes <= max
                    ? set(options, bytes)
                    : null);

    private static TuningRow Duration(
        string name, string min, string max, Func<StoreOptions, TimeSpan> get,
        Func<StoreOptions, TimeSpan, StoreOptions> set)
    {
        _ = Quantities.TryParseDuration(min, out TimeSpan least);
        _ = Quantities.TryParseDuration(max, out TimeSpan most);
        return new TuningRow(
            name,
            $"{Quantities.DurationForm}, from {min} to {max}",
            Quantities.FormatDuration(get(new StoreOptions())),
            (options, text) =>
                Quantities.TryParseDuration(text, out TimeSpan value) && value >= least && value <= most
                    ? set(options, value)
                    : null);
    }

    private static TuningRow Count(
        string name, int min, int max, Func<StoreOptions, int> get, Func<StoreOptions, int, StoreOptions> set) =>
        new(
            name,
            string.Create(CultureInfo.InvariantCulture, $"a whole number from {min} to {max}"),
            get(new StoreOptions()).ToString(CultureInfo.InvariantCulture),
            (options, text) =>
                int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
                && value >= min && value <= max
                    ? set(options, value)
                    : null);

    private static TuningRow Share(
        string name, double max, Func<StoreOptions, double> get, Func<StoreOptions, double, StoreOptions> set) =>
        new(
            name,
            string.Create(CultureInfo.InvariantCulture, $"a share from 0 to {max}"),
            get(new StoreOptions()).ToString(CultureInfo.InvariantCulture),
            (options, text) =>
                double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
                && value >= 0 && value <= max
                    ? set(options, value)
                    : null);

    private static TuningRow ChunkBytes() =>
        new(
            nameof(StoreOptions.ChunkBytes),
            "a power of two from 16K to 1M",
            Write(new StoreOptions().ChunkBytes),
            (options, text) =>
                Quantities.TryParseSize(text, out long bytes) && bytes is >= 16 * K and <= M
                && BitOperations.IsPow2(bytes)
                    ? options with { ChunkBytes = (int)bytes }
                    : null);

    private static string Write(long bytes)
    {
        string suffixes = "KMGT";
        int unit = 0;
        while (unit < suffixes.Length && bytes >= 1024 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            unit++;
        }

        string count = bytes.ToString(CultureInfo.InvariantCulture);
        return unit == 0 ? count : count + suffixes[unit - 1];
    }
}
