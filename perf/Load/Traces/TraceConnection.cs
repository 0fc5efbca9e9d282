using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Traces;

/// <summary>What a recorded connection agreed on in its handshake.</summary>
/// <param name="Connection">Its number, which its requests carry.</param>
/// <param name="Export">Name that the client asked for.</param>
/// <param name="SizeBytes">Size of the export.</param>
/// <param name="Flags">What the export offered.</param>
/// <param name="Replies">The most elaborate form of replies that was agreed on.</param>
internal sealed record TraceConnection(
    int Connection, string Export, long SizeBytes, NbdExportFlags Flags, ReplyForm Replies);

/// <summary>Forms of replies, and with <see cref="Extended"/> of request headers.</summary>
internal enum ReplyForm : byte
{
    Simple = 0,
    Structured = 1,
    Extended = 2,
}
