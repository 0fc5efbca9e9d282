using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Stages.Engine;

/// <summary>What to change of an export; what is null stays as it is. All of it changes at one point of the commit order.</summary>
public sealed record ExportPatch
{
    /// <summary>The new name. Attached clients stay attached.</summary>
    public string? Name { get; init; }

    /// <summary>What FLUSH waits for from now on, on attached connections too.</summary>
    public DurabilityLevel? Level { get; init; }

    /// <summary>
    /// Whether writes, trims and zeroing are refused. Those under way when it is set may still take effect; those begun
    /// after the change has completed do not.
    /// </summary>
    public bool? IsReadOnly { get; init; }

    /// <summary>Free text for people, at most 1,024 bytes of UTF-8; empty takes it away.</summary>
    public string? Description { get; init; }

    /// <summary>
    /// Whether every write is answered only when it is durable. Set, it holds for writes that begin after the change has
    /// completed. It is taken back only while no client is attached: those that are have been told not to FLUSH.
    /// </summary>
    public bool? WriteThrough { get; init; }

    /// <summary>zstd level of what is cut from now on, 0 (none) to 19. What is stored keeps its encoding.</summary>
    public int? CompressionLevel { get; init; }
}
