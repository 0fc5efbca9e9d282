using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

internal sealed partial class ExportDevice
{
    // A reply names each of them. Beyond that the last one reaches to the last damaged byte.
    private const int FailedRangesMax = 64;

    // A read failed for damaged frames. Frame by frame, so that what is whole is not lost with them; rarely run, and never
    // in a hurry.
    private async ValueTask<IReadOnlyList<BlockRange>> FillAroundDamageAsync(
        ReadPlan plan, BlockRange range, Memory<byte> destination, CancellationToken cancellation)
    {
        var failed = new List<BlockRange>();
        foreach (CommittedHit hit in plan.Missing)
        {
            FrameRef frame = hit.Frame!.Value;
            try
            {
                BufferLease plain = await _parts.Frames.ReadAsync(frame, cancellation);
                int at = (int)(hit.Range.Offset - range.Offset);
                Copy(hit, frame, plain, destination.Span.Slice(at, (int)hit.Range.Length));
            }
            catch (StorageFaultException damage) when (damage.Kind == FaultKind.Corrupt)
            {
                AddFailed(failed, hit.Range);
            }
        }

        return failed;
    }

    private static void AddFailed(List<BlockRange> failed, BlockRange range)
    {
        bool continues = failed.Count > 0 && (failed[^1].End == range.Offset || failed.Count == FailedRangesMax);
        if (continues) failed[^1] = BlockRange.Between(failed[^1].Offset, range.End);
        else failed.Add(range);
    }
}
