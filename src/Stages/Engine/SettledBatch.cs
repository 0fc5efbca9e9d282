using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// What makes a draft a settled table: bytes that the committed map named as of a place in the chain, on their way to a
/// new place. The draft owns the payload.
/// </summary>
internal sealed class SettledBatch
{
    private readonly TaskCompletionSource<bool> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private BufferLease? _payload;
    private volatile bool _isCommitted;

    /// <param name="asOf">The last table that was committed before the bytes were looked up.</param>
    /// <param name="payload">The bytes; takes over one reference.</param>
    public SettledBatch(ChainPosition asOf, BufferLease payload)
    {
        AsOf = asOf;
        _payload = payload;
    }

    public ChainPosition AsOf { get; }

    /// <summary>Further maps that have what a frame holds.</summary>
    public List<(int Frame, ExportId Map)> Again { get; } = [];

    /// <summary>The bytes, borrowed until the frames are encoded.</summary>
    public BufferLease Payload => _payload ?? throw new InvalidOperationException("The settled bytes were let go of.");

    /// <summary>Completes when the draft has left the pipeline; true when it was committed.</summary>
    public Task<bool> Ended => _ended.Task;

    public void ReleasePayload() => Interlocked.Exchange(ref _payload, null)?.Release();

    public void MarkCommitted() => _isCommitted = true;

    public void End() => _ended.TrySetResult(_isCommitted);
}
