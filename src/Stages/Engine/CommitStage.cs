using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (9) commit: the contiguous prefix of the chain advances by one table. The map swaps from the WAL to the table, the
/// published frontier moves, and the WAL is released.
/// </summary>
/// <remarks>
/// The order is the point. The committed map learns of the table before the memtable forgets the records, so a reader,
/// who looks at the memtable first, always finds one of the two; and the WAL is released last.
/// </remarks>
internal sealed class CommitStage
{
    private readonly StoreState _state;
    private readonly Guid _session;
    private readonly IWriteAheadLog _wal;
    private readonly SequenceFrontier _published;
    private readonly Admission _admission;
    private readonly CutStage _cutter;
    private readonly StoreSupervisor _supervisor;
    private readonly FrameDiskCache? _diskCache;
    private readonly CommitTurn _turn;
    private readonly MaintenanceLoop _maintenance;

    public CommitStage(
        StoreState state, Guid session, IWriteAheadLog wal, SequenceFrontier published, Admission admission,
        CutStage cutter, StoreSupervisor supervisor, FrameDiskCache? diskCache, CommitTurn turn,
        MaintenanceLoop maintenance)
    {
        _state = state;
        _session = session;
        _wal = wal;
        _published = published;
        _admission = admission;
        _cutter = cutter;
        _supervisor = supervisor;
        _diskCache = diskCache;
        _turn = turn;
        _maintenance = maintenance;
    }

    public async Task RunAsync(TableDraft draft)
    {
        try
        {
            // A draft behind one that failed is not committed, though its upload may have succeeded.
            if (draft.Fault is not null || _supervisor.Cause is not null) return;
            await _maintenance.WhenRoomAsync(_supervisor.Stopping);
            using (await _turn.TakeAsync(_supervisor.Stopping)) Commit(draft);
        }
        catch (OperationCanceledException) when (_supervisor.Stopping.IsCancellationRequested)
        {
            // The store stops while commits wait for a checkpoint: the next start finds the table in the chain.
        }
        finally
        {
            _cutter.Finished(draft);
            draft.Release();
            draft.Settled?.End();
        }
    }

    private void Commit(TableDraft draft)
    {
        int ordinal = _state.Apply(ToTableInfo(draft), draft.Index!, _session);
        Sequence last = draft.LastSequence;
        long walBytes = 0;
        foreach (WriteRecord record in draft.Records)
        {
            record.Memtable?.Release(record.Range, last);
            walBytes += record.WalBytes;
        }

        // Only now: a record may still have been found through the range of a later one.
        foreach (WriteRecord record in draft.Records) record.ReleasePayload();
        if (draft.Records.Count > 0)
        {
            _published.Complete(draft.FirstSequence, last);
            _wal.Release(last);
            _admission.Drained(walBytes);
        }

        KeepInDiskCache(draft, ordinal);
        draft.Settled?.MarkCommitted();
        _maintenance.TableCommitted(draft.BodyBytes, draft.Settled is null ? draft.PlainBytes : 0);
    }

    private static TableInfo ToTableInfo(TableDraft draft) => new()
    {
        Epoch = draft.Position.Epoch,
        Number = draft.Position.Number,
        Salt = draft.Salt,
        Key = draft.Key,
        ObjectBytes = draft.BodyBytes,
        FirstSequence = draft.FirstSequence,
        LastSequence = draft.LastSequence,
        ObjectKey = ChainNames.Table(draft.Position),
        PlainBytes = draft.Index!.DataBytes,
    };

    // What was written is not fetched back: the sealed frames enter the disk cache from the bytes in hand.
    private void KeepInDiskCache(TableDraft draft, int ordinal)
    {
        if (_diskCache is null) return;
        ReadOnlySpan<byte> body = draft.Object.Span;
        foreach (TableFrame frame in draft.Index!.Frames())
        {
            _diskCache.Insert(
                new FrameKey(ordinal, frame.Number), body.Slice((int)frame.ObjectOffset, frame.Entry.SealedBytes));
        }
    }
}
