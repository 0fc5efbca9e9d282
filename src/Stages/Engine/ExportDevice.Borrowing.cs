using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Large reads of what is in memory: lent, not copied. Payloads of recent writes and plain frames never change once they can
/// be found, and whoever holds a reference keeps them.
/// </summary>
internal sealed partial class ExportDevice
{
    // A piece more in a gathering send costs about as much as copying so many bytes.
    private const int BytesPerPieceMin = 16 * 1024;

    // Lends every byte of the range, or none and leaves the plan as it was.
    private bool TryBorrow(ReadPlan plan, BlockRange range, List<BufferPiece> pieces)
    {
        int count = plan.Recent.Count + plan.Committed.Count;
        if (count * (long)BytesPerPieceMin > range.Length || !IsInMemory(plan, range.Length)) return false;
        int recent = 0, committed = 0;
        long at = range.Offset;
        for (; at < range.End; at += pieces[^1].Length)
        {
            if (recent < plan.Recent.Count && plan.Recent[recent].Range.Offset == at)
            {
                MemtableHit hit = plan.Recent[recent++];
                hit.Payload!.AddReference();
                pieces.Add(new BufferPiece(hit.Payload, (int)(hit.Record.PayloadOffset + hit.Start), (int)hit.Range.Length));
            }
            else
            {
                CommittedHit hit = plan.Committed[committed++];
                if (!_parts.Memory.TryGet(hit.Frame!.Value.Key, out BufferLease? plain)) break;
                pieces.Add(new BufferPiece(
                    plain, (int)(hit.Range.Offset - hit.Frame.Value.ExportOffset), (int)hit.Range.Length));
            }
        }

        if (at == range.End)
        {
            foreach (MemtableHit hit in plan.Recent) hit.Payload!.Release();
            return true;
        }

        foreach (BufferPiece piece in pieces) piece.Lease.Release();
        pieces.Clear();
        return false;
    }

    // Whether all is data and here, in buffers not much larger than the read: a slow client must not keep far more memory
    // than what its window counts. A frame may still leave before it is taken.
    private bool IsInMemory(ReadPlan plan, long length)
    {
        long held = 0;
        BufferLease? last = null;
        foreach (MemtableHit hit in plan.Recent)
        {
            if (hit.Record.Header.Kind != WalRecordKind.Data || hit.Payload is not { } payload) return false;
            // Records of one large write share a buffer.
            if (payload != last) held += payload.Capacity;
            last = payload;
        }

        foreach (CommittedHit hit in plan.Committed)
        {
            if (hit.Frame is not { } frame || !_parts.Memory.Contains(frame.Key)) return false;
            held += BufferPool.CapacityFor(frame.PlainBytes);
        }

        return 2 * held <= 3 * length;
    }
}
