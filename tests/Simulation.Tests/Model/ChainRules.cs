namespace ZeroFlow.Simulation.Tests.Model;

/// <summary>The rules that keep the chain whole. Each can be left out, to see that the model notices.</summary>
[Flags]
internal enum ChainRules
{
    None = 0,

    /// <summary>A PUT of a name that exists changes nothing (If-None-Match).</summary>
    CreateIfAbsent = 1 << 0,

    /// <summary>A writer that finds its number taken goes on only if its own table stands there.</summary>
    ReadBack = 1 << 1,

    /// <summary>A table is acknowledged only when all before it in its epoch are.</summary>
    PrefixOnly = 1 << 2,

    /// <summary>A takeover puts a seal at the first free number, before it serves.</summary>
    SealFirst = 1 << 3,

    /// <summary>A seal is never deleted.</summary>
    SealsStay = 1 << 4,

    /// <summary>Only what is dead in a checkpoint that is stored is deleted.</summary>
    CheckpointFirst = 1 << 5,

    /// <summary>Only what is dead is deleted.</summary>
    LiveStays = 1 << 6,

    /// <summary>A takeover starts over when a newer checkpoint has come up while it walked.</summary>
    NotOvertaken = 1 << 7,

    /// <summary>An epoch begins behind the seal of the one before, whatever else lies behind that seal.</summary>
    SealEndsEpoch = 1 << 8,

    All = (1 << 9) - 1,
}
