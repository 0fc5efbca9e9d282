using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// Sees every request of one connection's loop begin and end: may put marks into what is written, and tells whether
/// what is read is right. Used by that loop only.
/// </summary>
internal abstract class PayloadGuard
{
    /// <summary>The longest transfer that it can take.</summary>
    public abstract int LengthMax { get; }

    /// <summary>A request is about to be sent; <paramref name="payload"/> is what a write writes, else empty.</summary>
    public abstract void Begin(int lane, in BlockRequest request, Span<byte> payload);

    /// <summary>A request has succeeded; <paramref name="payload"/> is what a read read, else empty.</summary>
    /// <exception cref="NbdException">That is not what it should be.</exception>
    public abstract void End(int lane, in BlockRequest request, ReadOnlySpan<byte> payload);
}

/// <summary>Marks blocks with their offsets: see <see cref="BlockStamp"/>.</summary>
internal sealed class OffsetGuard(int lengthMax) : PayloadGuard
{
    public override int LengthMax => lengthMax;

    public override void Begin(int lane, in BlockRequest request, Span<byte> payload) =>
        BlockStamp.Write(payload, request.Offset);

    public override void End(int lane, in BlockRequest request, ReadOnlySpan<byte> payload)
    {
        if (BlockStamp.FindWrong(payload, request.Offset) is >= 0 and var wrong)
            throw new NbdException($"Wrong data: the block at {wrong} does not carry its stamp.");
    }
}
