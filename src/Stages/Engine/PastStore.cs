using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// A store as it was at one moment, from the bucket alone: every export read-only, with all tables that had been made by
/// then. Neither takes the store over nor writes anything, so it stands beside a writer that goes on. Thread-safe.
/// </summary>
/// <remarks>
/// All exports are of the same point of the commit order, at most a publish interval before the moment (while the bucket
/// was there). It keeps nothing from being deleted: when its moment leaves what <see cref="StoreOptions.Retention"/> of
/// the writer covers, reads begin to fail.
/// </remarks>
public sealed class PastStore : IExportDirectory, IAsyncDisposable
{
    private readonly Dictionary<string, ExportDevice> _exports;
    private readonly FrameReader _frames;
    private readonly FrameMemoryCache _memory;

    private PastStore(Dictionary<string, ExportDevice> exports, FrameReader frames, FrameMemoryCache memory)
    {
        _exports = exports;
        _frames = frames;
        _memory = memory;
    }

    /// <summary>Opens the store as of a moment.</summary>
    /// <param name="options">Sizes of caches; what concerns writing does not count.</param>
    /// <param name="parts">What to read with.</param>
    /// <param name="asOf">The moment, by the clock of whoever wrote.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StorageFaultException">There is no store, or it does not keep that moment; the message says which.</exception>
    public static async Task<PastStore> OpenAsync(
        StoreOptions options, ReadingComponents parts, DateTimeOffset asOf, CancellationToken cancellation)
    {
        ILogger log = parts.Loggers.CreateLogger("ZeroFlow.Store");
        var health = new StoreHealth(parts.Time, parts.Loggers);
        health.ObserveIn(parts.Metrics.Meter);
        byte[] seed = new byte[sizeof(int)];
        parts.Entropy.Fill(seed);
        var objects = new RetryingObjectStore(
            new MeteredObjectStore(parts.Objects, parts.Metrics, parts.Time), RetryPolicy.ForOpening, health, parts.Time,
            new Random(BitConverter.ToInt32(seed)), parts.Requests);
        try
        {
            StoreKeys keys = await StoreRecord.OpenAsync(objects, parts.Passphrase, cancellation);
            IChunkCodec codec = ZstdCodec.Create();
            StoreState state = await new ChainWalker(objects, keys, codec, log).WalkAsync(asOf, cancellation);
            return Over(state, options, parts, objects.With(RetryPolicy.ForReads(options.RefusalPatience), ObjectPurpose.Read));
        }
        catch (ObjectStoreException refused)
        {
            throw new StorageFaultException(FaultKind.Unavailable, $"The store cannot be opened as of {asOf:u}: {refused.Message}", refused);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List() =>
        [.. _exports.Values.Select(static export => export.Info).OrderBy(static info => info.Name, StringComparer.Ordinal)];

    /// <inheritdoc/>
    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device)
    {
        string? found = name.Length > 0 ? name : IExportDirectory.OnlyName(List());
        device = found is null ? null : _exports.GetValueOrDefault(found);
        return device is not null;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _frames.DisposeAsync();
        _memory.Clear();
    }

    private static PastStore Over(
        StoreState state, StoreOptions options, ReadingComponents parts, RetryingObjectStore objects)
    {
        var memory = new FrameMemoryCache(options.MemoryCacheBytes);
        var frames = new FrameReader(
            objects, state.Tables, memory, null, parts.Buffers, parts.Metrics,
            new FrameReaderOptions { ReadAheadBytes = options.ReadAheadBytes });
        state.Pages.Attach(frames, memory, options.MapBytes / 2);
        var reading = new ReadParts(null, parts.Buffers, state.Tables, memory, frames, options.ReadAheadBytes);
        Dictionary<string, ExportDevice> exports = state.Exports.ToDictionary(
            static export => export.Info.Name,
            export => new ExportDevice(export.Info with { IsReadOnly = true }, export.Map, new Memtable(), front: null, reading),
            StringComparer.Ordinal);
        return new PastStore(exports, frames, memory);
    }
}
