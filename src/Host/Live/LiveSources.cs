using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Serving;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Nbd;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Stages;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Live;

/// <summary>
/// What there is to be seen of a server. All of it is in memory: looking costs no request to the bucket. Thread-safe.
/// </summary>
internal sealed class LiveSources(
    MetricCollector metrics, ServerState state, RecentEvents events, TimeProvider time, string storeUrl, StoreOptions tuning,
    PriceList prices, DateTimeOffset? asOf)
{
    private volatile IExportDirectory? _exports;
    private volatile NbdServer? _nbd;

    /// <summary>The sources of a server with these settings.</summary>
    public static LiveSources Of(
        ServeSettings settings, MetricCollector metrics, ServerState state, RecentEvents events, TimeProvider time) =>
        new(metrics, state, events, time, settings.StoreUrl, settings.Tuning, settings.Prices, settings.AsOf);

    /// <summary>Where the numbers come from.</summary>
    public MetricCollector Metrics { get; } = metrics;

    /// <summary>Where the server is in its life.</summary>
    public ServerState State { get; } = state;

    /// <summary>What happened.</summary>
    public RecentEvents Events { get; } = events;

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; } = time;

    /// <summary>When the server began.</summary>
    public DateTimeOffset StartedAt { get; } = time.GetUtcNow();

    /// <summary>Where the data lives.</summary>
    public string StoreUrl { get; } = storeUrl;

    /// <summary>The bounds of the engine.</summary>
    public StoreOptions Tuning { get; } = tuning;

    /// <summary>What requests cost.</summary>
    public PriceList Prices { get; } = prices;

    /// <summary>The moment that is served, or null for a writer.</summary>
    public DateTimeOffset? AsOf { get; } = asOf;

    /// <summary>The exports; null before the store is open and after it has closed.</summary>
    public IExportDirectory? Exports => _exports;

    /// <summary>The store; null when there is none, or only its past.</summary>
    public BlockStore? Store => _exports as BlockStore;

    /// <summary>The clients that are attached now.</summary>
    public IReadOnlyList<NbdClient> Clients => _nbd?.Clients() ?? [];

    /// <summary>The store is open.</summary>
    public void Open(IExportDirectory exports) => _exports = exports;

    /// <summary>Clients are served by this server.</summary>
    public void Serve(NbdServer nbd) => _nbd = nbd;

    /// <summary>The store is about to be closed.</summary>
    public void Close()
    {
        _exports = null;
        _nbd = null;
    }
}
