using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>One request as a client sent it, without its payload.</summary>
/// <param name="Micros">When it was sent, in microseconds since the trace began.</param>
/// <param name="Command">What it asked for.</param>
/// <param name="Offset">Where, in bytes; 0 for a FLUSH.</param>
/// <param name="Length">How much, in bytes; 0 for a FLUSH.</param>
/// <param name="Flags">Its flags, as on the wire.</param>
/// <param name="Connection">Which of the client's connections sent it, from 0.</param>
internal readonly record struct TraceRecord(
    long Micros,
    NbdCommand Command,
    long Offset,
    long Length,
    NbdRequestFlags Flags = NbdRequestFlags.None,
    int Connection = 0)
{
    /// <summary>Whether it moves data over the wire.</summary>
    public bool IsTransfer => Command is NbdCommand.Read or NbdCommand.Write;

    /// <summary>Whether it names a range of the device.</summary>
    public bool HasRange => Command is not (NbdCommand.Flush or NbdCommand.Disconnect);
}
