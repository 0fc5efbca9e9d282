using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>What became of a batch.</summary>
internal enum SettleResult
{
    /// <summary>Nothing is worth settling now.</summary>
    Nothing,

    /// <summary>A batch was committed.</summary>
    Settled,

    /// <summary>A batch was committed that gives no space back, but puts together what is read together.</summary>
    Merged,

    /// <summary>It could not be read, or the store stopped taking tables.</summary>
    Failed,
}

/// <summary>
/// (10) settle: rewrites what still lives in tables that are mostly dead, so that they can go; and where that is not
/// needed, pages whose data is in many pieces, so that a scan takes few GETs. The new tables take the way of all tables, and commit with "only if still current": whatever was written in the meantime wins.
/// </summary>
/// <remarks>
/// <para>Greedy cleaning, as log-structured stores do it (Rosenblum and Ousterhout 1992): only while the store as a
/// whole holds less live bytes than its target share, and the emptiest tables first, which move the fewest bytes for
/// the space they give back.</para>
/// <para>Merging moves bytes that would not have to move, so it has a budget: a share of what clients wrote. It takes the
/// pages that need the most GETs for their bytes, and leaves those alone that have changed since the last checkpoint.</para>
/// <para>Live pieces are sorted by export and offset, and neighbours become one frame: a settled stretch is one ranged
/// GET. Used by the maintenance loop alone; one batch is under way at a time, so foreground work waits for at most one
/// table in front of it.</para>
/// </remarks>
internal sealed partial class Settler
{
    // Frames read at once: enough to share GETs, little enough to hold in memory.
    private const int ReadBytesMax = 4 * 1024 * 1024;

    // Tables and lines of their indexes that one batch looks through.
    private const int TablesMax = 64;
    private const int EntriesMax = 256 * 1024;

    // Fragmented pages that one batch looks at: those that are being written are passed over.
    private const int PagesMax = 1024;

    private readonly StoreState _state;
    private readonly CommitTurn _turn;
    private readonly CutStage _cutter;
    private readonly SettlePacer _pacer;
    private readonly FragmentedPages _fragmented;
    private readonly TableReader _indexes;
    private readonly FrameReader _frames;
    private readonly BufferPool _buffers;
    private readonly StoreOptions _options;
    private readonly ILogger _log;

    // Moved since the last checkpoint: their counts do not show it yet.
    private readonly HashSet<int> _moved = [];

    // Kept from batch to batch: it is large, and would be garbage of the oldest generation each time.
    private readonly List<WrittenRange> _written = [];
    private long _settledBytes;
    private long _mergedBytes;
    private long _writtenBytes;

    public Settler(
        StoreState state, CommitTurn turn, CutStage cutter, SettlePacer pacer, FragmentedPages fragmented, TableReader indexes,
        FrameReader frames, BufferPool buffers, StoreOptions options, ILogger log)
    {
        _state = state;
        _turn = turn;
        _cutter = cutter;
        _pacer = pacer;
        _fragmented = fragmented;
        _indexes = indexes;
        _frames = frames;
        _buffers = buffers;
        _options = options;
        _log = log;
    }

    /// <summary>Plain bytes that were rewritten.</summary>
    public long SettledBytes => Volatile.Read(ref _settledBytes);

    /// <summary>Those of them that were rewritten only to lie together.</summary>
    public long MergedBytes => Volatile.Read(ref _mergedBytes);

    /// <summary>Pages whose data is in so many pieces that it pays to merge them, as of the last checkpoint.</summary>
    public int FragmentedPages => _fragmented.DueCount;

    /// <summary>Counts what clients wrote: merging may rewrite a share of it. Called by the commit stage.</summary>
    public void Written(long bytes) => Interlocked.Add(ref _writtenBytes, bytes);

    /// <summary>A checkpoint is installed: the counts are true again.</summary>
    public void CheckpointStored() => _moved.Clear();

    /// <summary>Settles one batch, if there is one.</summary>
    public async Task<SettleResult> RunAsync(CancellationToken cancellation)
    {
        var result = SettleResult.Failed;
        try
        {
            return result = await SettleAsync(cancellation);
        }
        catch (Exception fault) when (fault is StorageFaultException or ObjectStoreException)
        {
            LogFailed(fault);
            return result;
        }
        finally
        {
            if (result != SettleResult.Settled) _pacer.Rests();
        }
    }

    /// <summary>
    /// Writes anew what of the ranges is still found and can still be read, from wherever. The pieces that were committed.
    /// </summary>
    public async Task<List<LivePiece>> RepairAsync(List<WrittenRange> written, CancellationToken cancellation)
    {
        ChainPosition asOf;
        using (await _turn.TakeAsync(cancellation)) asOf = _state.Position;
        List<LivePiece> good = [];
        foreach (LivePiece piece in await new LiveFinder(_state).FindAsync(written, cancellation))
        {
            try
            {
                (await _frames.ReadAsync(piece.Frame, cancellation)).Release();
                good.Add(piece);
            }
            catch (StorageFaultException lost)
            {
                LogLost(lost);
            }
        }

        return await RewriteAsync(good, asOf, cancellation) ? good : [];
    }

    private async Task<SettleResult> SettleAsync(CancellationToken cancellation)
    {
        List<(int Ordinal, TableInfo Table)> sparse = ChooseTables();
        if (sparse.Count == 0) return await MergeAsync(cancellation);

        // Nothing freezes the state until the batch is committed or the store has failed: this loop is the only one that
        // could.
        ChainPosition asOf;
        using (await _turn.TakeAsync(cancellation)) asOf = _state.Position;
        _written.Clear();
        int looked = 0;
        while (looked < sparse.Count && _written.Count < EntriesMax)
        {
            await ReadIndexAsync(sparse[looked].Ordinal, sparse[looked].Table, cancellation);
            looked++;
        }

        List<LivePiece> pieces = await new LiveFinder(_state).FindAsync(_written, cancellation);
        if (!await RewriteAsync(pieces, asOf, cancellation)) return SettleResult.Failed;
        foreach (var (ordinal, _) in sparse[..looked]) _moved.Add(ordinal);
        return SettleResult.Settled;
    }

    private async Task<SettleResult> MergeAsync(CancellationToken cancellation)
    {
        List<PageOfFamily> pages = ChoosePages();
        if (pages.Count == 0) return SettleResult.Nothing;
        ChainPosition asOf;
        using (await _turn.TakeAsync(cancellation)) asOf = _state.Position;
        foreach (PageOfFamily page in pages) _fragmented.Take(page);
        List<LivePiece> pieces = await new LiveFinder(_state).FindAsync(pages, cancellation);
        Interlocked.Add(ref _mergedBytes, pieces.Sum(static piece => piece.Range.Length));
        return await RewriteAsync(pieces, asOf, cancellation) ? SettleResult.Merged : SettleResult.Failed;
    }

    // The worst pages that together fill about one table, within what may be spent.
    private List<PageOfFamily> ChoosePages()
    {
        long left = (long)(Volatile.Read(ref _writtenBytes) * _options.MergeShare) - _mergedBytes;
        var chosen = new List<PageOfFamily>();
        if (left <= 0) return chosen;
        ILookup<MapFamily, CommittedExport> byFamily = _state.Exports.ToLookup(static export => export.Map.Family);
        long bytes = 0;
        foreach (var (page, pageBytes) in _fragmented.WorstFirst().Take(PagesMax).ToList())
        {
            if (!byFamily.Contains(page.Family))
            {
                _fragmented.Forget(page);
                continue;
            }

            // What is being written would be in pieces again at once.
            if (byFamily[page.Family].Any(member => member.Map.SlotOf(page.Page)?.IsDirty == true)) continue;
            if (bytes + pageBytes > left || (bytes > 0 && bytes + pageBytes > _options.TableBytes)) continue;
            bytes += pageBytes;
            chosen.Add(page);
        }

        return chosen;
    }

    // The emptiest tables that together fill about one table, while the store as a whole is below its target.
    private List<(int Ordinal, TableInfo Table)> ChooseTables()
    {
        long live = 0, plain = 0;
        foreach (var (ordinal, table) in _state.Tables.All())
        {
            if (!Counts(ordinal, table)) continue;
            live += table.LiveBytes;
            plain += table.PlainBytes;
        }

        // Below a table's worth of garbage there is nothing to win.
        if (live >= plain * _options.SettleLiveShare || plain - live < _options.TableBytes) return [];
        var candidates = new List<(int Ordinal, TableInfo Table)>();
        foreach (var (ordinal, table) in _state.Tables.All())
        {
            if (Counts(ordinal, table) && table.LiveBytes < table.PlainBytes * _options.SettleLiveShare)
                candidates.Add((ordinal, table));
        }

        candidates.Sort(static (a, b) =>
            ((double)a.Table.LiveBytes / a.Table.PlainBytes).CompareTo((double)b.Table.LiveBytes / b.Table.PlainBytes));
        long bytes = 0;
        int count = 0;
        while (count < Math.Min(candidates.Count, TablesMax) &&
               (count == 0 || bytes + candidates[count].Table.LiveBytes <= _options.TableBytes))
            bytes += candidates[count++].Table.LiveBytes;
        _pacer.BatchBegins(
            (double)live / plain, _options.SettleLiveShare,
            candidates[..count].Sum(static chosen => chosen.Table.PlainBytes - chosen.Table.LiveBytes));
        return candidates[..count];
    }

    // Only what a checkpoint has counted, and no batch has moved since.
    private bool Counts(int ordinal, TableInfo table) =>
        table is { Kind: ChainObjectKind.Table, LiveBytes: > 0, IsDying: false } && !_moved.Contains(ordinal);

    // What a table wrote, by its own index.
    private async Task ReadIndexAsync(int ordinal, TableInfo table, CancellationToken cancellation)
    {
        var at = new ChainPosition(table.Epoch, table.Number);
        if (await _indexes.ReadAsync(at, table.ObjectBytes, cancellation) is not ChainObject.Table found) return;
        foreach (TableEntry entry in found.Index.Entries)
        {
            if (entry.HasFrame) _written.Add(new WrittenRange(ordinal, entry.Export, entry.Range));
        }
    }

    // Sends the pieces through the pipeline, a table at a time. False when one was not committed.
    private async Task<bool> RewriteAsync(List<LivePiece> pieces, ChainPosition asOf, CancellationToken cancellation)
    {
        for (int first = 0; first < pieces.Count;)
        {
            int count = 0;
            long bytes = 0;
            while (first + count < pieces.Count && (count == 0 || bytes + pieces[first + count].Range.Length <= _options.TableBytes))
                bytes += pieces[first + count++].Range.Length;
            List<LivePiece> batch = pieces.GetRange(first, count);
            TableDraft draft = NewDraft(batch, asOf, await ReadAsync(batch, (int)bytes, cancellation));
            if (!await _cutter.CommitSettledAsync(draft, cancellation)) return false;
            Interlocked.Add(ref _settledBytes, bytes);
            LogSettled(bytes, draft.Plans.Count);
            first += count;
        }

        return true;
    }

    // The bytes of all pieces, one behind the other. The caller owns the lease.
    private async Task<BufferLease> ReadAsync(List<LivePiece> batch, int bytes, CancellationToken cancellation)
    {
        BufferLease payload = _buffers.Rent(bytes);
        try
        {
            int at = 0;
            for (int first = 0; first < batch.Count;)
            {
                int count = 0;
                long reading = 0;
                while (first + count < batch.Count && (count == 0 || reading + batch[first + count].Frame.PlainBytes <= ReadBytesMax))
                    reading += batch[first + count++].Frame.PlainBytes;
                FrameRef[] frames = [.. batch.GetRange(first, count).Select(piece => piece.Frame)];
                var leases = new BufferLease?[count];
                await _frames.ReadManyAsync(frames, leases, cancellation);
                for (int i = 0; i < count; i++)
                {
                    LivePiece piece = batch[first + i];
                    int from = (int)(piece.Range.Offset - piece.Frame.ExportOffset);
                    leases[i]!.Span.Slice(from, (int)piece.Range.Length).CopyTo(payload.Span[at..]);
                    leases[i]!.Release();
                    at += (int)piece.Range.Length;
                }

                first += count;
            }

            return payload;
        }
        catch
        {
            payload.Release();
            throw;
        }
    }

    private static TableDraft NewDraft(List<LivePiece> batch, ChainPosition asOf, BufferLease payload)
    {
        var settled = new SettledBatch(asOf, payload);
        var draft = new TableDraft
        {
            Position = default,
            Records = [],
            Settled = settled,
            PlainBytes = payload.Length,
            IsUrgent = false,
        };
        long at = 0;
        for (int i = 0; i < batch.Count; i++)
        {
            LivePiece piece = batch[i];
            draft.Pieces.Add(new FramePiece(-1, at, (int)piece.Range.Length));
            at += piece.Range.Length;

            // Neighbours within a chunk that the same maps have become one frame.
            bool joins = i > 0 && batch[i - 1].Range.End == piece.Range.Offset && piece.Range.Offset % piece.ChunkBytes != 0 &&
                         batch[i - 1].Maps.AsSpan().SequenceEqual(piece.Maps);
            if (joins)
            {
                FramePlan plan = draft.Plans[^1];
                draft.Plans[^1] = plan with { Length = plan.Length + (int)piece.Range.Length, Pieces = plan.Pieces + 1 };
                continue;
            }

            foreach (ExportId other in piece.Maps.AsSpan(1)) settled.Again.Add((draft.Plans.Count, other));
            draft.Plans.Add(new FramePlan(piece.Maps[0], piece.Family, piece.Range.Offset, (int)piece.Range.Length, i, 1));
        }

        return draft;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Tables that are mostly dead could not be rewritten; it will be tried again.")]
    private partial void LogFailed(Exception fault);

    [LoggerMessage(Level = LogLevel.Error, Message = "A damaged range is in no cache either: it is lost unless the bucket has an older version of the object. The report of the scrub names it; restore it from a snapshot or a backup.")]
    private partial void LogLost(Exception fault);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Settled {Bytes} bytes into {Frames} frames.")]
    private partial void LogSettled(long bytes, int frames);
}
