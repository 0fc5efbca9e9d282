using System.Diagnostics;
using System.Runtime.CompilerServices;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// One request in flight: from its header to the moment its reply is handed to the system. Pooled by the
/// <see cref="RequestWindow"/> of its connection, so that a request allocates nothing.
/// </summary>
internal sealed class NbdRequest
{
    public NbdRequest(Action<NbdRequest> onOperationDone) => Continuation = () => onOperationDone(this);

    /// <summary>Continues the request when its operation on the device completes later; made once.</summary>
    public Action Continuation { get; }

    /// <summary>The operation on the device while it is under way.</summary>
    public ValueTaskAwaiter Operation { get; private set; }

    public RequestHeader Header { get; set; }

    /// <summary>For a BLOCK_STATUS: the contexts that it is about, bit 0 for the one with number 1.</summary>
    public uint Contexts { get; set; }

    /// <summary>When the request arrived, as a timestamp of the server's clock.</summary>
    public long ArrivedAt { get; set; }

    /// <summary>The trace of the request, if it is traced.</summary>
    public Activity? Trace { get; set; }

    /// <summary>The payload, as long as the request owns a reference to it.</summary>
    public BufferLease? Payload { get; set; }

    /// <summary>
    /// For a READ whose bytes the device lent: those, which are sent instead of the payload. The request owns a reference to
    /// each.
    /// </summary>
    public List<BufferPiece> Borrowed { get; } = [];

    /// <summary>Bytes of payload that the request carries in either direction; zero for the others.</summary>
    public long PayloadBytes { get; set; }

    /// <summary>Payload memory that the request holds in its connection's window.</summary>
    public long WindowBytes { get; set; }

    /// <summary>The part of it that was taken from the budget of the server.</summary>
    public long SharedBytes { get; set; }

    /// <summary>
    /// For a READ with a structured reply: the runs of data and holes that it is answered with, as far as
    /// <see cref="RunCount"/>; none for one run of data.
    /// </summary>
    public BlockStatus[] Runs { get; } = new BlockStatus[StructuredReply.RunsMax];

    public int RunCount { get; set; }

    /// <summary>
    /// For a READ with a structured reply that failed in parts: those parts. The rest is in the payload.
    /// </summary>
    public IReadOnlyList<BlockRange> FailedRanges { get; set; } = [];

    /// <summary>Remembers the operation on the device; true when it has completed already.</summary>
    public bool Begin(ValueTask operation)
    {
        Operation = operation.GetAwaiter();
        return Operation.IsCompleted;
    }

    /// <summary>Gives the payload back, if the request still owns one, and what was borrowed.</summary>
    public void ReleasePayload()
    {
        foreach (BufferPiece piece in Borrowed) piece.Lease.Release();
        Borrowed.Clear();
        BufferLease? payload = Payload;
        Payload = null;
        payload?.Release();
    }
}
