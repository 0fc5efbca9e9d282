using System.Diagnostics;

namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// What flows between Dataflow stages. An error travels in its message: a stage that meets one passes it on untouched,
/// so that order and completion hold whatever happens to a single message.
/// </summary>
public interface IStageMessage
{
    /// <summary>The first error that happened to this message, if any.</summary>
    Exception? Fault { get; set; }

    /// <summary>The trace that the message belongs to, if any; the last stage ends it.</summary>
    Activity? Trace => null;

    /// <summary>Payload bytes, for metrics.</summary>
    long Bytes { get; }
}
