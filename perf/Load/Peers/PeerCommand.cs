using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Peers;

/// <summary>How one server is started and found.</summary>
/// <param name="Program">Program to run.</param>
/// <param name="Arguments">Its arguments, one each.</param>
/// <param name="Uri">Where its export will be.</param>
internal sealed record PeerCommand(string Program, IReadOnlyList<string> Arguments, NbdUri Uri)
{
    /// <summary>Answers 200 once the server is ready; null when a handshake is the only sign.</summary>
    public Uri? ReadyUri { get; init; }

    /// <summary>Has its metrics for Prometheus; null when it has none.</summary>
    public Uri? MetricsUri { get; init; }

    /// <summary>Variables added to the environment.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
}
