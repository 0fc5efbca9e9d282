using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Keys;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// What a store is read with: everything that a test or a simulation replaces. Settings are in
/// <see cref="StoreOptions"/>. The caller keeps the ownership of every part.
/// </summary>
public record ReadingComponents
{
    /// <summary>The bucket, without retries: the store adds the patience that each of its parts needs.</summary>
    public required IObjectStore Objects { get; init; }

    /// <summary>The clock.</summary>
    public required TimeProvider Time { get; init; }

    /// <summary>The source of keys, salts and identities.</summary>
    public required IEntropy Entropy { get; init; }

    /// <summary>Buffers for payloads, frames and tables.</summary>
    public required BufferPool Buffers { get; init; }

    /// <summary>Where everything is counted.</summary>
    public required PipelineMetrics Metrics { get; init; }

    /// <summary>Where events are told.</summary>
    public required ILoggerFactory Loggers { get; init; }

    /// <summary>Told of every request to the bucket, if somebody watches.</summary>
    public ObjectRequestLog Requests { get; init; } = new();

    /// <summary>Unlocks the store, or locks it when it is made.</summary>
    public required Passphrase Passphrase { get; init; }
}
