using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Host.Control;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Live;

/// <summary>
/// A running server at one moment, for the page and for <c>zeroflow top</c>. Rates are of the seconds before it, zero in the
/// first one; times are in seconds, sizes in bytes. Holds no secret.
/// </summary>
/// <remarks>
/// Version is that of this form: a reader that knows another one says so. Lists are cut to what a person looks at, and the
/// whole count is beside them.
/// </remarks>
internal sealed record LiveFrame(
    int Version, LiveServer Server, LiveState State, LiveTotals Totals, IReadOnlyList<LiveStage> Stages, IReadOnlyList<LiveExport> Exports,
    int ExportsInAll, IReadOnlyList<LiveSnapshot> Snapshots, int SnapshotsInAll, IReadOnlyList<LiveClient> Clients,
    int ClientsInAll, LiveWal Wal, IReadOnlyList<LiveCache> Caches, LiveBucket Bucket, LiveSpace Space,
    IReadOnlyList<LiveEvent> Events)
{
    /// <summary>The form that this program writes.</summary>
    public const int CurrentVersion = 1;
}

/// <summary>The process. <see cref="CpuShare"/> is of one core; <see cref="HasRates"/> is false in a first frame.</summary>
internal sealed record LiveServer(
    string Version, DateTimeOffset At, DateTimeOffset StartedAt, string Store, DateTimeOffset? AsOf, bool HasRates,
    double CpuShare, long ResidentBytes, int Connections);

/// <summary>How the server is, from good to bad.</summary>
internal enum LiveLevel
{
    /// <summary>Nothing to do.</summary>
    Good,

    /// <summary>It is on its way to something else.</summary>
    Notice,

    /// <summary>It goes on, and will not for ever.</summary>
    Warning,

    /// <summary>It does not serve, or holds writes back.</summary>
    Critical,
}

/// <summary>
/// How the server is. <see cref="Kind"/> is for programs, <see cref="Headline"/> for people; <see cref="Reason"/> is what was
/// found wrong, in the words of whoever found it; <see cref="Since"/> is known of an outage. <see cref="WalFullInSeconds"/>: until writes wait, if the WAL goes on to fill as it does.
/// </summary>
internal sealed record LiveState(
    LiveLevel Level, string Kind, string Headline, string Detail, string? Reason, DateTimeOffset? Since,
    double? WalFullInSeconds);

/// <summary>A time that half, and that 99 of 100, take at most, told from histogram buckets; null without a sample.</summary>
internal sealed record LiveLatency(double? P50, double? P99);

/// <summary>
/// A stage. <see cref="BusyShare"/> is time spent working, summed over parallel workers; <see cref="WaitShare"/> is time that
/// senders stood in front of a full queue, summed over them.
/// </summary>
internal sealed record LiveStage(
    string Name, long Queue, long Bound, long Active, double MessagesPerSecond, double BytesInPerSecond,
    double BytesOutPerSecond, double BusyShare, double WaitShare, LiveLatency Latency);

/// <summary>What clients ask of one export by one kind of request.</summary>
internal sealed record LiveRequests(double PerSecond, double BytesPerSecond, LiveLatency Latency);

/// <summary>What clients ask of all exports.</summary>
internal sealed record LiveTotals(LiveRequests Reads, LiveRequests Writes, LiveRequests Flushes);

/// <summary>An export. <see cref="LagSeconds"/>: the age that its oldest unpublished write can have at most.</summary>
internal sealed record LiveExport(
    string Name, long SizeBytes, DurabilityLevel Level, bool WriteThrough, bool ReadOnly, int Attached, double LagSeconds,
    LiveRequests Reads, LiveRequests Writes, LiveRequests Flushes, double ErrorsPerSecond);

/// <summary>A snapshot.</summary>
internal sealed record LiveSnapshot(string Name, long SizeBytes, DateTimeOffset CreatedAt);

/// <summary>The connections of one client to one export.</summary>
internal sealed record LiveClient(string Peer, string Export, bool Secured, int Connections, DateTimeOffset Since);

/// <summary>The local log.</summary>
internal sealed record LiveWal(
    long DirtyBytes, long LimitBytes, long DiskBytes, long MemoryBytes, double LagSeconds, double GrowthBytesPerSecond,
    double SyncsPerSecond, LiveLatency Sync, double AdmissionWaitShare);

/// <summary>One tier of the cache.</summary>
internal sealed record LiveCache(
    string Tier, bool Enabled, long Bytes, long LimitBytes, double HitsPerSecond, double MissesPerSecond, double? HitShare);

/// <summary>The object store, as the requests of the last minute show it.</summary>
internal sealed record LiveBucket(
    bool Reachable, DateTimeOffset? Since, string? Error, IReadOnlyList<LiveObjectRequests> Requests, LiveCost Cost);

/// <summary>
/// One kind of request to the object store: now, over <see cref="LiveCost.WindowSeconds"/>, and since the start of the server.
/// </summary>
internal sealed record LiveObjectRequests(
    string Kind, double PerSecond, double PerMinute, long Total, double FailedPerSecond, double BytesPerSecond,
    LiveLatency Latency);

/// <summary>What a day like the last minute costs, by the price list that is set.</summary>
internal sealed record LiveCost(
    string Currency, double PerDay, double PutsPerDay, double GetsPerDay, double StoragePerDay, double TransferPerDay,
    double WindowSeconds, double PutsPerThousand, double GetsPerThousand, double StorageGigabyteMonth, double TransferGigabyte);

/// <summary>What the bucket holds.</summary>
internal sealed record LiveSpace(
    long LiveBytes, long TableBytes, long MapBytes, long WaitingObjects, double SettledBytesPerSecond, uint Epoch,
    ulong LastTable);

/// <summary>A line of the server's log.</summary>
internal sealed record LiveEvent(DateTimeOffset At, LiveLevel Level, string Text);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    Converters = [typeof(LevelConverter), typeof(LiveLevelConverter)])]
[JsonSerializable(typeof(LiveFrame))]
internal sealed partial class LiveJson : JsonSerializerContext;

/// <summary>Levels by their names.</summary>
internal sealed class LiveLevelConverter() : JsonStringEnumConverter<LiveLevel>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);
