using System.Diagnostics.Metrics;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Journal;

namespace ZeroFlow.Stages.Engine;

/// <summary>The store's own numbers, read when somebody asks.</summary>
internal static class StoreGauges
{
    /// <summary>Adds the exports, each with its level; snapshots are left out, because there may be many.</summary>
    public static void RegisterExports(Meter meter, BlockStore store) => meter.CreateObservableGauge(
        "zeroflow.export.size",
        () => store.List().Where(static info => info.Snapshot is null).Select(static info => new Measurement<long>(
            info.SizeBytes,
            new KeyValuePair<string, object?>("export", info.Name),
            new KeyValuePair<string, object?>("level", info.Level == DurabilityLevel.Published ? "published" : "journaled"))),
        "By", "Size of an export, by its name and level.");

    public static void Register(Meter meter, StoreRuntime store, IWriteAheadLog wal)
    {
        meter.CreateObservableGauge(
            "zeroflow.store.dirty", () => store.Status.DirtyBytes, "By", "WAL bytes that no committed table covers.");
        meter.CreateObservableGauge(
            "zeroflow.store.dirty.limit", () => store.DirtyBytesMax, "By", "WAL bytes at which writes are held back.");
        meter.CreateObservableGauge(
            "zeroflow.store.dirty.memory", () => store.DirtyMemoryBytes, "By", "Unpublished payload kept in memory.");
        meter.CreateObservableGauge(
            "zeroflow.store.oldest_unpublished", () => store.Status.OldestUnpublished.TotalSeconds, "s",
            "Age of the oldest write that only the WAL holds.");
        meter.CreateObservableGauge(
            "zeroflow.wal.disk", () => wal.BytesOnDisk, "By", "Bytes of WAL segments on the local disk.");
        meter.CreateObservableGauge(
            "zeroflow.store.live", () => store.Space.LiveBytes, "By", "Plain bytes that exports read, as of the last checkpoint.");
        meter.CreateObservableGauge(
            "zeroflow.store.tables", () => store.Space.TableBytes, "By", "Bytes of the tables that count, in the bucket.");
        meter.CreateObservableGauge(
            "zeroflow.store.tables.plain", () => store.TablesPlainBytes, "By",
            "Plain bytes that those tables were written with, live and dead: what settling compares with the live ones.");
        meter.CreateObservableGauge(
            "zeroflow.store.map", () => store.Space.MapBytes, "By", "Bytes of the maps' pages in the bucket.");
        meter.CreateObservableGauge(
            "zeroflow.store.map.memory", () => store.MapMemoryBytes, "By", "Bytes of the maps in memory.");
        meter.CreateObservableCounter(
            "zeroflow.store.settled", () => store.Space.SettledBytes, "By", "Plain bytes rewritten, to give space back or to lie together.");
        meter.CreateObservableCounter(
            "zeroflow.store.merged", () => store.Space.MergedBytes, "By", "Those of the settled bytes that were rewritten only to lie together.");
        meter.CreateObservableGauge(
            "zeroflow.store.fragmented.pages", () => (long)store.Space.FragmentedPages, null,
            "Pages of 16 MiB whose data is in so many pieces that it pays to merge them, as of the last checkpoint.");
        meter.CreateObservableCounter(
            "zeroflow.store.checkpoints", () => store.Checkpoints, null, "Checkpoints stored.");
        meter.CreateObservableGauge(
            "zeroflow.store.deletes.waiting", () => (long)store.Space.WaitingObjects, null,
            "Objects that wait for their grace period before they are deleted.");
        meter.CreateObservableGauge("zeroflow.store.epoch", () => (long)store.Status.Epoch, null, "This writer's term.");
        meter.CreateObservableGauge(
            "zeroflow.store.table", () => (long)store.Status.LastTable, null, "Number of the last committed table of the term.");
        meter.CreateObservableGauge(
            "zeroflow.store.fenced", () => store.Status.IsFenced ? 1 : 0, null, "1 when another server took the store over.");
        meter.CreateObservableCounter(
            "zeroflow.admission.wait", () => store.AdmissionWaited.TotalSeconds, "s", "Time that writes waited for room in the WAL.");
    }
}
