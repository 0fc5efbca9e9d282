namespace ZeroFlow.Pipeline.Device;

/// <summary>What a FLUSH (or FUA) of an export waits for. Stored in the catalog: the values are part of the format.</summary>
public enum DurabilityLevel : byte
{
    /// <summary>The WAL is on stable local storage up to the flush point. Survives a process kill and power loss.</summary>
    Journaled = 1,

    /// <summary>The chain in the bucket covers the flush point. Survives the loss of the whole machine.</summary>
    Published = 2,

    // 3 is kept for "replicated": a standby holds the tail of the WAL.
}
