using ZeroFlow.Host.Telemetry;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Live;

/// <summary>
/// Makes frames out of the sources: each holds what changed since the one before. Not thread-safe.
/// </summary>
internal sealed class LiveSampler(LiveSources sources)
{
    // A frame is a message that every viewer gets each second: what would not be looked at by a person is left out.
    private const int ListMax = 200;

    // Rates over less than that are noise.
    private static readonly TimeSpan ShortestChange = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FillWindow = TimeSpan.FromSeconds(15);

    private readonly Queue<LiveReading> _window = new();
    private LiveReading? _last;
    private LiveReading? _before;

    /// <summary>Looks, and says what is there.</summary>
    public LiveFrame Take()
    {
        LiveReading now = Read();
        if (_last is null || sources.Time.GetElapsedTime(_last.At, now.At) >= ShortestChange) (_before, _last) = (_last, now);
        Remember(now);
        LiveChange second = ChangeFrom(_before, now);
        LiveChange minute = ChangeFrom(_window.Peek(), now);
        LiveChange filling = ChangeFrom(_window.First(r => sources.Time.GetElapsedTime(r.At, now.At) <= FillWindow), now);
        BlockStore? store = sources.Store;
        StoreStatus? status = store?.Status;
        LiveWal wal = Wal(second, filling, status);
        IReadOnlyList<ExportInfo> all = sources.Exports?.List() ?? [];
        ExportInfo[] exports = [.. all.Where(static e => e.Snapshot is null)];
        ExportInfo[] snapshots = [.. all.Where(static e => e.Snapshot is not null).OrderByDescending(static e => e.Snapshot!.CreatedAt)];
        LiveClient[] clients = Clients();
        return new LiveFrame(
            LiveFrame.CurrentVersion,
            Server(second),
            LiveStates.Of(sources.State.Current, status, wal),
            new LiveTotals(Requests(second, "read"), Requests(second, "write"), Requests(second, "flush")),
            [.. StageNames(now).Select(name => Stage(second, name))],
            [.. exports.Take(ListMax).Select(export => Export(second, export, wal.LagSeconds))],
            exports.Length,
            [.. snapshots.Take(ListMax).Select(static s => new LiveSnapshot(s.Name, s.SizeBytes, s.Snapshot!.CreatedAt))],
            snapshots.Length,
            [.. clients.Take(ListMax)],
            clients.Length,
            wal,
            [
                Cache(second, "memory", isOn: true, sources.Tuning.MemoryCacheBytes),
                Cache(second, "disk", now.Sum("zeroflow_cache_enabled") > 0, sources.Tuning.DiskCacheBytes),
            ],
            Bucket(second, minute, status),
            Space(second, store),
            sources.Events.Newest());
    }

    /// <summary>Forgets what was seen: the next frame is a first one.</summary>
    public void Forget()
    {
        _window.Clear();
        (_last, _before) = (null, null);
    }

    private LiveReading Read() => new(sources.Time.GetTimestamp(), sources.Metrics.Read());

    private void Remember(LiveReading now)
    {
        while (_window.TryPeek(out LiveReading? oldest) && sources.Time.GetElapsedTime(oldest.At, now.At) > Window) _window.Dequeue();
        if (_window.Count == 0 || _last == now) _window.Enqueue(now);
    }

    private LiveChange ChangeFrom(LiveReading? before, LiveReading now) =>
        before is null ? new LiveChange(LiveReading.Empty(now.At), now, 0)
        : new LiveChange(before, now, sources.Time.GetElapsedTime(before.At, now.At).TotalSeconds);

    private LiveServer Server(LiveChange second) => new(
        ProcessMetrics.Version, sources.Time.GetUtcNow(), sources.StartedAt, sources.StoreUrl, sources.AsOf,
        second.Seconds > 0, second.Rate("process_cpu_seconds_total"), (long)second.Now.Sum("process_resident_memory_bytes"),
        (int)second.Now.Sum("zeroflow_nbd_connections"));

    private static IEnumerable<string> StageNames(LiveReading now)
    {
        string[] there = [.. now.ValuesOf("zeroflow_stage_queue_bound", "stage")];
        return LiveStages.InOrder.Where(there.Contains).Concat(there.Except(LiveStages.InOrder));
    }

    private static LiveStage Stage(LiveChange change, string name)
    {
        (string, string) stage = ("stage", name);
        return new LiveStage(
            name,
            (long)change.Now.Sum("zeroflow_stage_queue_depth", stage),
            (long)change.Now.Sum("zeroflow_stage_queue_bound", stage),
            (long)change.Now.Sum("zeroflow_stage_active", stage),
            change.Rate("zeroflow_stage_messages_out_total", stage),
            change.Rate("zeroflow_stage_bytes_in_total", stage),
            change.Rate("zeroflow_stage_bytes_out_total", stage),
            change.Rate("zeroflow_stage_busy_seconds_total", stage),
            change.Rate("zeroflow_stage_space_wait_seconds_total", stage),
            change.Latency("zeroflow_stage_duration_seconds", stage));
    }

    private LiveExport Export(LiveChange change, ExportInfo export, double lag)
    {
        bool isBehind = sources.Store?.HasUnpublished(export.Name) ?? false;
        (string, string) name = ("export", export.Name);
        double answered = change.Rate("zeroflow_export_requests_total", name);
        double good = change.Rate("zeroflow_export_requests_total", name, ("result", "ok"));
        return new LiveExport(
            export.Name, export.SizeBytes, export.Level, export.WriteThrough, export.IsReadOnly,
            sources.Store?.AttachedTo(export.Name) ?? 0, isBehind ? lag : 0,
            Requests(change, "read", name), Requests(change, "write", name), Requests(change, "flush", name),
            Math.Max(0, answered - good));
    }

    private static LiveRequests Requests(LiveChange change, string operation, params (string, string)[] labels)
    {
        (string, string)[] all = [("op", operation), .. labels];
        return new LiveRequests(
            change.Rate("zeroflow_export_requests_total", all),
            change.Rate("zeroflow_export_bytes_total", all),
            change.Latency("zeroflow_export_request_duration_seconds", all));
    }

    private LiveClient[] Clients() =>
    [
        .. sources.Clients
            .GroupBy(static client => (client.Peer, client.Export, client.IsSecured))
            .Select(static group => new LiveClient(
                group.Key.Peer, group.Key.Export, group.Key.IsSecured, group.Count(), group.Min(static c => c.AttachedAt)))
            .OrderBy(static client => client.Export, StringComparer.Ordinal).ThenBy(static client => client.Peer, StringComparer.Ordinal),
    ];

    private static LiveWal Wal(LiveChange second, LiveChange filling, StoreStatus? status)
    {
        long dirty = status?.DirtyBytes ?? 0;
        double before = filling.Before.Sum("zeroflow_store_dirty_bytes");
        return new LiveWal(
            dirty, status?.DirtyBytesMax ?? 0,
            (long)second.Now.Sum("zeroflow_wal_disk_bytes"),
            (long)second.Now.Sum("zeroflow_store_dirty_memory_bytes"),
            status?.OldestUnpublished.TotalSeconds ?? 0,
            filling.Seconds > 0 ? (dirty - before) / filling.Seconds : 0,
            SamplesPerSecond(second, "zeroflow_wal_sync_duration_seconds"),
            second.Latency("zeroflow_wal_sync_duration_seconds"),
            second.Rate("zeroflow_admission_wait_seconds_total"));
    }

    private static double SamplesPerSecond(LiveChange change, string family) =>
        change.Seconds <= 0 ? 0
        : (change.Now.Of(family).Sum(static s => s.Buckets.Sum()) - change.Before.Of(family).Sum(static s => s.Buckets.Sum())) / change.Seconds;

    private static LiveCache Cache(LiveChange change, string tier, bool isOn, long limit)
    {
        double hits = change.Rate("zeroflow_cache_requests_total", ("tier", tier), ("result", "hit"));
        double misses = change.Rate("zeroflow_cache_requests_total", ("tier", tier), ("result", "miss"));
        return new LiveCache(
            tier, isOn && limit > 0, (long)change.Now.Sum("zeroflow_cache_bytes", ("tier", tier)), limit, hits, misses,
            hits + misses > 0 ? hits / (hits + misses) : null);
    }

    private LiveBucket Bucket(LiveChange second, LiveChange minute, StoreStatus? status)
    {
        string[] kinds = [.. second.Now.ValuesOf("zeroflow_store_requests_total", "type")];
        bool reachable = status?.BucketReachable ?? (second.Now.Of("zeroflow_store_reachable").FirstOrDefault()?.Value ?? 1) > 0;
        return new LiveBucket(
            reachable, status?.BucketSince, reachable ? null : status?.LastStoreError,
            [.. kinds.Select(kind => ObjectRequests(second, minute, kind))],
            LiveCosts.Of(sources.Prices, minute));
    }

    private static LiveObjectRequests ObjectRequests(LiveChange second, LiveChange minute, string kind)
    {
        (string, string) type = ("type", kind);
        double all = second.Rate("zeroflow_store_requests_total", type);
        double answered = LiveCosts.Answered.Sum(result => second.Rate("zeroflow_store_requests_total", type, ("result", result)));
        return new LiveObjectRequests(
            kind, all, minute.Rate("zeroflow_store_requests_total", type) * 60,
            (long)second.Now.Sum("zeroflow_store_requests_total", type),
            Math.Max(0, all - answered),
            second.Rate("zeroflow_store_bytes_total", type),
            second.Latency("zeroflow_store_request_duration_seconds", type));
    }

    private static LiveSpace Space(LiveChange second, BlockStore? store)
    {
        StoreSpace? space = store?.Space;
        StoreStatus? status = store?.Status;
        return new LiveSpace(
            space?.LiveBytes ?? 0, space?.TableBytes ?? 0, space?.MapBytes ?? 0, space?.WaitingObjects ?? 0,
            second.Rate("zeroflow_store_settled_bytes_total"), status?.Epoch ?? 0, status?.LastTable ?? 0);
    }
}
