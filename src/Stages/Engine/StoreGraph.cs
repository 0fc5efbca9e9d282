using System.Diagnostics;
using System.Threading.Tasks.Dataflow;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// The drain half of the pipeline, as one visible graph of bounded Dataflow blocks. The front half, which every request
/// passes, is actors on Channels.
/// </summary>
/// <remarks>
/// <code>
/// (1) admit -> (2) sequence -> (3) journal -> cut
///                                              |
///   (4) chunk -> (5) compress -> (6) seal -> (7) table -> (8) upload -> (9) commit
/// </code>
/// One message is one cut on its way to being a table, so the cost of a Dataflow hop is paid once for up to 16 MiB.
/// Everything is ordered: commits need the prefix of the chain. Capacities count messages; a message's bytes are
/// bounded by the size of a cut, so the memory of the drain is at most the sum of the capacities times that.
/// </remarks>
internal sealed class StoreGraph
{
    private const int TraceLinksMax = 32;

    private readonly TransformBlock<TableDraft, TableDraft> _head;
    private readonly ActionBlock<TableDraft> _end;
    private readonly PipelineTraces _traces;

    public StoreGraph(
        PipelineTraces traces, StageFactory factory, StoreOptions options, ChunkStage chunk, CompressStage compress, SealStage seal,
        TableStage table, UploadStage upload, CommitStage commit)
    {
        _traces = traces;
        int cores = Math.Max(1, Environment.ProcessorCount);

        // (4) chunk: index work only. One at a time is faster than all that follows.
        _head = factory.Work<TableDraft>(new StageOptions("chunk", Capacity: 1, Parallelism: 1, Ordered: true, Yields: true), chunk.Run);

        // (5) compress: the most CPU; a cut on each core. Nothing waits in it: what waits is cheaper as records in the WAL.
        var compressing = factory.Work<TableDraft>(
            new StageOptions("compress", Capacity: cores, Parallelism: cores, Ordered: true, Yields: true), compress.Run);

        // (6) seal: a tenth of the work of compressing.
        var sealing = factory.Work<TableDraft>(new StageOptions("seal", Capacity: 1, Parallelism: 1, Ordered: true, Yields: true), seal.Run);

        // (7) table: index and footer.
        var building = factory.Work<TableDraft>(new StageOptions("table", Capacity: 1, Parallelism: 1, Ordered: true, Yields: true), table.Run);

        // (8) upload: as many PUTs as hide the latency of the bucket, and no queue behind them.
        var uploading = factory.WorkAsync<TableDraft>(
            new StageOptions("upload", options.UploadsInFlight, options.UploadsInFlight, Ordered: true, Yields: false), upload.RunAsync);

        // (9) commit: one writer of the committed state.
        _end = factory.End<TableDraft>(new StageOptions("commit", Capacity: 1, Parallelism: 1, Ordered: true, Yields: false), commit.RunAsync);

        var link = new DataflowLinkOptions { PropagateCompletion = true };
        _head.LinkTo(compressing, link);
        compressing.LinkTo(sealing, link);
        sealing.LinkTo(building, link);
        building.LinkTo(uploading, link);
        uploading.LinkTo(_end, link);
    }

    /// <summary>Completes when every draft has been committed or failed, after <see cref="Complete"/>.</summary>
    public Task Completion => _end.Completion;

    /// <summary>Puts a draft into (4) chunk, waiting for room.</summary>
    public async ValueTask SendAsync(TableDraft draft)
    {
        if (_traces.IsOn) draft.Trace = BeginTrace(draft);
        if (!await _head.SendAsync(draft))
            throw new StorageFaultException(FaultKind.Closing, "The pipeline takes no more cuts.");
    }

    /// <summary>Takes no more drafts; those inside go on to their end.</summary>
    public void Complete() => _head.Complete();

    // A table belongs to the trace of the first traced request that it holds, and is linked to those of the others.
    private static Activity? BeginTrace(TableDraft draft)
    {
        Activity? first = null;
        List<ActivityLink>? others = null;
        foreach (WriteRecord record in draft.Records)
        {
            if (record.Trace is not { } trace || trace == first) continue;
            if (first is null) first = trace;
            else (others ??= []).Add(new ActivityLink(trace.Context));
            if (others?.Count == TraceLinksMax) break;
        }

        return PipelineTraces.Begin("publish", first, others)
            ?.SetTag("zeroflow.table", draft.Position.ToString()).SetTag("zeroflow.records", draft.Records.Count);
    }
}
