using FASTER.core;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// How FASTER reads and writes the records of the disk cache: the input of a read is the length that is expected, its
/// output a lease on a copy. A record of another length is as good as none.
/// </summary>
internal sealed class FrameRecordFunctions(BufferPool pool) : FunctionsBase<long, SpanByte, int, BufferLease?, Empty>
{
    public override bool SingleReader(
        ref long key, ref int input, ref SpanByte value, ref BufferLease? dst, ref ReadInfo readInfo) =>
        Copy(input, ref value, ref dst);

    public override bool ConcurrentReader(
        ref long key, ref int input, ref SpanByte value, ref BufferLease? dst, ref ReadInfo readInfo) =>
        Copy(input, ref value, ref dst);

    public override bool SingleWriter(
        ref long key, ref int input, ref SpanByte src, ref SpanByte dst, ref BufferLease? output,
        ref UpsertInfo upsertInfo, WriteReason reason)
    {
        src.CopyTo(ref dst);
        return true;
    }

    // Refused, so that FASTER appends a new record instead: readers hold no locks, and a record never changes.
    public override bool ConcurrentWriter(
        ref long key, ref int input, ref SpanByte src, ref SpanByte dst, ref BufferLease? output,
        ref UpsertInfo upsertInfo) => false;

    // The default would wipe the value, which readers may be copying.
    public override bool SingleDeleter(ref long key, ref SpanByte value, ref DeleteInfo deleteInfo) => true;

    private bool Copy(int expected, ref SpanByte value, ref BufferLease? lease)
    {
        if (value.Length != expected) return false;
        // FASTER may call twice for one read when it has to start over.
        lease ??= pool.Rent(expected);
        value.AsReadOnlySpan().CopyTo(lease.Span);
        return true;
    }
}
