using System.Diagnostics.CodeAnalysis;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// An open store: this process is its one writer. Hands out its exports as block devices. Thread-safe.
/// </summary>
/// <remarks>Open with <see cref="OpenAsync"/>; end with <see cref="StopAsync"/> and then dispose.</remarks>
public sealed class BlockStore : IExportDirectory, IAsyncDisposable
{
    private readonly StoreRuntime _runtime;
    private readonly ExportCatalog _catalog;

    internal BlockStore(StoreRuntime runtime, ExportCatalog catalog)
    {
        _runtime = runtime;
        _catalog = catalog;
    }

    /// <summary>Completes with the cause when the store must stop: fenced, or its WAL failed. Reads go on.</summary>
    public Task<StorageFaultException> Fatal => _runtime.Supervisor.Fatal;

    /// <summary>The state now.</summary>
    public StoreStatus Status => _runtime.Status;

    /// <summary>Every request to the bucket, for whoever watches.</summary>
    public ObjectRequestLog Requests => _runtime.Requests;

    /// <summary>The space that the store takes now.</summary>
    public StoreSpace Space => _runtime.Space;

    /// <summary>
    /// Opens a store for writing, making it when there is none: takes it over from whoever wrote before, and replays
    /// what the local WAL holds beyond the chain.
    /// </summary>
    /// <exception cref="StorageFaultException">It cannot be opened; the message says why in one sentence.</exception>
    public static Task<BlockStore> OpenAsync(
        StoreOptions options, StoreComponents parts, CancellationToken cancellation) =>
        new StoreOpening(options, parts).RunAsync(cancellation);

    /// <summary>True when a store was made there before; opening that one takes its passphrase.</summary>
    /// <exception cref="ObjectStoreException">The object store cannot be read.</exception>
    public static async Task<bool> ExistsAsync(IObjectStore objects, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(objects);
        return await objects.TryReadAsync(StoreRecord.ObjectKey, StoreRecord.RecordBytesMax, cancellation) is not null;
    }

    /// <inheritdoc/>
    public IReadOnlyList<ExportInfo> List() => _catalog.List();

    /// <inheritdoc/>
    public bool TryOpen(string name, [NotNullWhen(true)] out IBlockDevice? device) => _catalog.TryOpen(name, out device);

    /// <inheritdoc/>
    public bool TryCompare(ExportInfo export, string snapshot, [NotNullWhen(true)] out IChangedRanges? changes) =>
        _catalog.TryCompare(export, snapshot, out changes);

    /// <summary>Clients that are attached to an export or snapshot now; zero when there is none of that name.</summary>
    public int AttachedTo(string name) => _catalog.AttachedTo(name);

    /// <summary>
    /// Whether an export has writes that only the WAL holds. All exports are published in one order, so those are no older
    /// than <see cref="StoreStatus.OldestUnpublished"/>. False when there is no export of that name.
    /// </summary>
    public bool HasUnpublished(string name) => _catalog.HasUnpublished(name);

    /// <summary>
    /// Makes sure that an export exists: creates it when it is missing; one that exists keeps its size, and gets the
    /// level when one is given. Durable in the WAL when the task completes. A name that an existing export was renamed
    /// from makes nothing: that export is returned as it is. Only <see cref="CreateExportAsync"/> and
    /// <see cref="CloneAsync"/> give such a name anew.
    /// </summary>
    /// <exception cref="StorageFaultException">The name or size is not acceptable.</exception>
    public Task<ExportInfo> EnsureExportAsync(
        string name, long sizeBytes, DurabilityLevel? level, CancellationToken cancellation) =>
        _catalog.EnsureAsync(name, sizeBytes, level, cancellation);

    /// <summary>Creates an export. Durable in the WAL when the task completes; clients can attach at once.</summary>
    /// <exception cref="StorageFaultException">The name is taken, or the name or size is not acceptable.</exception>
    public Task<ExportInfo> CreateExportAsync(
        string name, long sizeBytes, DurabilityLevel level, NewExportOptions options, CancellationToken cancellation) =>
        _catalog.CreateAsync(name, sizeBytes, level, options, cancellation);

    /// <summary>
    /// Changes an export; asking for what it is already changes nothing. When the task completes, the change is as
    /// durable as a FLUSH of the export at its new level.
    /// </summary>
    /// <exception cref="StorageFaultException">
    /// There is no such export, another one has the new name, or a value is not acceptable.
    /// </exception>
    public Task<ExportInfo> AlterExportAsync(string name, ExportPatch patch, CancellationToken cancellation) =>
        _catalog.AlterAsync(name, patch, cancellation);

    /// <summary>
    /// Changes the size. Growing is done under attached clients, which may use the new size once they know it; shrinking
    /// loses what lies beyond the new end, has to be allowed, and is refused while clients are attached. As durable as a
    /// FLUSH of the export when the task completes.
    /// </summary>
    /// <exception cref="StorageFaultException">There is no such export, or it cannot have that size.</exception>
    public Task<ExportInfo> ResizeExportAsync(
        string name, long sizeBytes, bool allowShrink, CancellationToken cancellation) =>
        _catalog.ResizeAsync(name, sizeBytes, allowShrink, cancellation);

    /// <summary>
    /// Deletes an export or a snapshot; its space comes back by and by. An export that has snapshots, or clients
    /// attached, is deleted by <paramref name="force"/> only: then its snapshots go with it, and clients are refused.
    /// Clones stay whole in any case. As durable as a FLUSH of the export when the task completes.
    /// </summary>
    /// <exception cref="StorageFaultException">There is none of that name, or it is in use.</exception>
    public Task DeleteExportAsync(string name, bool force, CancellationToken cancellation) =>
        _catalog.DeleteAsync(name, force, cancellation);

    /// <summary>
    /// Takes snapshots of exports, all of one point of the commit order: each holds every write that was answered before
    /// the call. They are served read-only as <c>export@snapshot</c>. Completes once they are published, and can be
    /// opened; the point itself is fixed, and durable in the WAL, at once.
    /// </summary>
    /// <param name="exports">Names of exports; none for all of the store.</param>
    /// <param name="snapshot">The snapshots' own name.</param>
    /// <param name="cancellation">Gives up the wait; what was journaled takes effect all the same.</param>
    /// <exception cref="StorageFaultException">There is no such export, or the name is taken or not acceptable.</exception>
    public Task<IReadOnlyList<ExportInfo>> CreateSnapshotsAsync(
        IReadOnlyCollection<string> exports, string snapshot, CancellationToken cancellation) =>
        _catalog.SnapshotAsync(exports, snapshot, cancellation);

    /// <summary>
    /// Makes a writable export that begins as a snapshot is, at no cost in data. From then on neither knows the other.
    /// Completes once it is published, and can be opened. An export of that name which was cloned from the very same
    /// snapshot, and has the level, is what is asked for.
    /// </summary>
    /// <param name="snapshot">The snapshot, as <c>export@snapshot</c>.</param>
    /// <param name="name">The new export.</param>
    /// <param name="level">Its durability level; that of the snapshot's export when null.</param>
    /// <param name="cancellation">Gives up the wait; what was journaled takes effect all the same.</param>
    /// <exception cref="StorageFaultException">There is no such snapshot, or the name is taken or not acceptable.</exception>
    public Task<ExportInfo> CloneAsync(
        string snapshot, string name, DurabilityLevel? level, CancellationToken cancellation) =>
        _catalog.CloneAsync(snapshot, name, level, cancellation);

    /// <summary>
    /// Makes an export what one of its snapshots is, its size too; what it was is lost, unless another snapshot has it.
    /// Refused while clients are attached; with <paramref name="force"/> they are refused from then on, and have to attach
    /// anew. Completes once it is published, and can be opened again.
    /// </summary>
    /// <param name="snapshot">The snapshot, as <c>export@snapshot</c>.</param>
    /// <param name="force">Does it under attached clients.</param>
    /// <param name="cancellation">Gives up the wait; what was journaled takes effect all the same.</param>
    /// <exception cref="StorageFaultException">There is no such snapshot, or clients are attached.</exception>
    public Task<ExportInfo> RollBackAsync(string snapshot, bool force, CancellationToken cancellation) =>
        _catalog.RollBackAsync(snapshot, force, cancellation);

    /// <summary>Makes every answered operation on every export durable at <paramref name="level"/>.</summary>
    public Task FlushAsync(DurabilityLevel level, CancellationToken cancellation) =>
        _runtime.Front.FlushAsync(level, cancellation).AsTask();

    /// <summary>
    /// Reads back what the store needs, from the bucket and past every cache, while it goes on working: the chain, the
    /// map, the live-byte counts, and the frames of the tables. One at a time.
    /// </summary>
    /// <param name="options">How much, and whether to repair.</param>
    /// <param name="progress">Told after every object.</param>
    /// <param name="cancellation">Ends it; nothing is left behind.</param>
    /// <exception cref="StorageFaultException">The bucket is away, or another scrub is under way.</exception>
    public Task<ScrubReport> ScrubAsync(
        ScrubOptions options, Action<ScrubProgress> progress, CancellationToken cancellation) =>
        _runtime.ScrubAsync(options, progress, cancellation);

    /// <summary>
    /// Stops: refuses new operations, syncs the WAL, and publishes what it can within <paramref name="timeout"/>. What
    /// is left is in the WAL and is replayed by the next start.
    /// </summary>
    public Task<StopReport> StopAsync(TimeSpan timeout) => _runtime.StopAsync(timeout);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _runtime.DisposeAsync();
        _catalog.Dispose();
    }
}
