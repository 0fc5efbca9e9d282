using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// Reads back what the store needs, from the bucket and past every cache: the chain from the newest checkpoint on, every
/// page of the map, and every frame of every table. Nothing changes, unless repairs are asked for. One object, one run.
/// </summary>
/// <remarks>
/// It looks at a store that goes on working. What it finds missing or damaged is a finding only if the map still names it
/// afterwards: an object that was deleted meanwhile was not needed.
/// </remarks>
internal sealed class Scrubber(
    StoreState state, CommitTurn turn, MaintenanceLoop maintenance, ChainWalker walker, IObjectStore objects,
    BufferPool buffers, ScrubOptions options, Action<ScrubProgress> progress)
{
    private const int WalksMax = 5;

    private readonly List<ScrubFinding> _findings = [];
    private long _frames;
    private int _tables;
    private int _pages;
    private long _bytes;
    private long _totalBytes;

    public async Task<ScrubReport> RunAsync(Random random, CancellationToken cancellation)
    {
        ScrubView view = await maintenance.BetweenAsync(() => LookAsync(cancellation), cancellation);
        CountedTable[] tables = [.. view.Tables
            .Where(t => t.Table.Kind == ChainObjectKind.Table && random.NextDouble() < options.Share)];
        int[] pageObjects = [.. view.Pages.Select(static page => page.Place.Table).Distinct()];
        _totalBytes = tables.Sum(static t => t.Table.ObjectBytes) + pageObjects.Sum(ordinal => state.Tables[ordinal]?.ObjectBytes ?? 0);

        await CheckChainAsync(view.Position, cancellation);
        bool countsChecked = await CheckMapAsync(view, cancellation);
        foreach (CountedTable table in tables) await CheckTableAsync(table.Ordinal, table.Table, cancellation);
        return new ScrubReport(_tables, _frames, _pages, _bytes, countsChecked, _findings);
    }

    private async Task<ScrubView> LookAsync(CancellationToken cancellation)
    {
        using (await turn.TakeAsync(cancellation))
        {
            return new ScrubView(
                state.Position,
                [.. state.Tables.All().Where(static t => !t.Table.IsDying).Select(static t => new CountedTable(t.Ordinal, t.Table, t.Table.LiveBytes))],
                state.StoredPages(), maintenance.IsCheckpointUnderWay);
        }
    }

    private async Task CheckChainAsync(ChainPosition position, CancellationToken cancellation)
    {
        try
        {
            // A walk that is overtaken by a checkpoint and the deletes behind it ends too soon; a broken chain always does.
            StoreState read = await walker.WalkAsync(cancellation);
            for (int again = 0; again < WalksMax && read.Position < position; again++) read = await walker.WalkAsync(cancellation);
            if (read.Position < position)
                Add(ScrubProblem.BrokenChain, ChainNames.Table(read.Position.NextNumber), $"The chain in the bucket ends at {read.Position}; this server has committed {position}.", []);
        }
        catch (Exception fault) when (IsDamage(fault))
        {
            Add(ScrubProblem.BrokenChain, ChainNames.ChainPrefix, fault.Message, []);
        }

        await CheckCopyAsync(cancellation);
    }

    // One that is being stored while it is looked for is there when it is looked for between checkpoints.
    private async Task CheckCopyAsync(CancellationToken cancellation)
    {
        try
        {
            if (await maintenance.BetweenAsync(() => walker.CheckCopyAsync(cancellation), cancellation) is { } lack)
                Add(ScrubProblem.BrokenChain, ChainNames.CheckpointCopyPrefix, lack, []);
        }
        catch (Exception fault) when (IsDamage(fault))
        {
            Add(ScrubProblem.BrokenChain, ChainNames.CheckpointCopyPrefix, fault.Message, []);
        }
    }

    // False when the counts could not be compared.
    private async Task<bool> CheckMapAsync(ScrubView view, CancellationToken cancellation)
    {
        var live = new Dictionary<int, long>();
        bool isWhole = !view.IsCheckpointUnderWay;
        foreach (IGrouping<int, StoredPage> pages in view.Pages.GroupBy(static page => page.Place.Table))
        {
            if (state.Tables[pages.Key] is not { } table || await ReadAsync(table, cancellation) is not { } body)
            {
                isWhole = false;
                if (pages.Where(IsCurrent).ToList() is { Count: > 0 } current)
                    Add(ScrubProblem.Missing, state.Tables[pages.Key]?.ObjectKey ?? "map", "An object with pages of the map is missing or short.", [.. current.SelectMany(RangesOf)]);
                continue;
            }

            using (body)
            {
                foreach (StoredPage page in pages) isWhole &= CheckPage(page, table, body.Lease, live);
            }
        }

        if (isWhole) await CompareCountsAsync(view, live, cancellation);
        return isWhole;
    }

    private bool CheckPage(StoredPage page, TableInfo table, BufferLease body, Dictionary<int, long> live)
    {
        FrameRef frame = page.Place.ToFrame(page.Family.Id, page.Start);
        BufferLease plain = buffers.Rent(frame.PlainBytes);
        try
        {
            state.Tables.Open(frame, body.Span.Slice((int)frame.ObjectOffset, frame.SealedBytes), plain.Span);
            ReadOnlySpan<MapPiece> pieces = MapPages.PiecesOf(plain, page);
            _pages++;
            Count(live, page.Place.Table, page.Place.PlainBytes);
            foreach (ref readonly MapPiece piece in pieces) Count(live, piece.Fragment.Table, piece.Length);
            return true;
        }
        catch (StorageFaultException fault)
        {
            if (IsCurrent(page)) Add(ScrubProblem.Damaged, table.ObjectKey, fault.Message, [.. RangesOf(page)]);
            return false;
        }
        finally
        {
            plain.Release();
        }
    }

    private async Task CompareCountsAsync(ScrubView view, Dictionary<int, long> live, CancellationToken cancellation)
    {
        foreach (var (ordinal, table, counted) in view.Tables)
        {
            long found = live.GetValueOrDefault(ordinal);
            if (counted == found) continue;
            Add(ScrubProblem.WrongCount, table.ObjectKey, $"It is counted to have {counted} live bytes, and has {found}.", []);
            if (!options.Repairs) continue;
            await maintenance.BetweenAsync(
                () =>
                {
                    table.AddLive(found - counted);
                    return Task.FromResult(true);
                },
                cancellation);
        }
    }

    private async Task CheckTableAsync(int ordinal, TableInfo table, CancellationToken cancellation)
    {
        var at = new ChainPosition(table.Epoch, table.Number);
        try
        {
            if (await walker.Reader.ReadAsync(at, table.ObjectBytes, cancellation) is not ChainObject.Table found)
                throw StorageFaultException.Corrupt($"{table.ObjectKey} is a seal, and was a table.");
            if (await ReadAsync(table, cancellation) is not { } body)
                throw StorageFaultException.Corrupt($"{table.ObjectKey} is missing or short.");
            using (body) await CheckFramesAsync(ordinal, table, found.Index, body.Lease, cancellation);
            _tables++;
        }
        catch (Exception fault) when (IsDamage(fault))
        {
            // What it held is known from the map alone.
            List<WrittenRange> written = await FindAsync(ordinal, cancellation);
            bool isMissing = fault is ObjectStoreException { Kind: ObjectStoreErrorKind.ObjectMissing };
            if (written.Count > 0)
                await AddFramesAsync(isMissing ? ScrubProblem.Missing : ScrubProblem.Damaged, table, fault.Message, written, cancellation);
        }
    }

    private async Task CheckFramesAsync(
        int ordinal, TableInfo table, TableIndex index, BufferLease body, CancellationToken cancellation)
    {
        var damaged = new List<WrittenRange>();
        foreach (var (number, offset, entry) in index.Frames())
        {
            var frame = new FrameRef(
                new FrameKey(ordinal, number), offset, entry.SealedBytes, entry.Encoding, state.FamilyOf(entry.Export),
                entry.Offset, (int)entry.Length);
            if (TryOpen(frame, body)) _frames++;
            else damaged.Add(new WrittenRange(ordinal, entry.Export, entry.Range));
        }

        if (damaged.Count == 0) return;

        // An export that is gone no longer says whose family it was; the map does, for whatever is still read.
        List<LivePiece> live = await new LiveFinder(state).FindAsync(damaged, cancellation);
        live.RemoveAll(piece => TryOpen(piece.Frame, body));
        if (live.Count == 0) return;
        List<WrittenRange> lost = [.. live.Select(piece => new WrittenRange(ordinal, piece.Maps[0], piece.Range))];
        await AddFramesAsync(ScrubProblem.Damaged, table, "Frames are not what was stored: their seals do not open.", lost, cancellation);
    }

    private bool TryOpen(in FrameRef frame, BufferLease body)
    {
        BufferLease plain = buffers.Rent(frame.PlainBytes);
        try
        {
            state.Tables.Open(frame, body.Span.Slice((int)frame.ObjectOffset, frame.SealedBytes), plain.Span);
            return true;
        }
        catch (StorageFaultException)
        {
            return false;
        }
        finally
        {
            plain.Release();
        }
    }

    private async Task AddFramesAsync(
        ScrubProblem problem, TableInfo table, string detail, List<WrittenRange> written, CancellationToken cancellation)
    {
        List<LivePiece> live = await new LiveFinder(state).FindAsync(written, cancellation);
        if (live.Count == 0) return;
        HashSet<LivePiece> repaired = options.Repairs ? [.. await maintenance.RepairAsync(written, cancellation)] : [];
        Add(problem, table.ObjectKey, detail, [.. live.SelectMany(piece => NamesOf(piece).Select(
            name => new DamagedRange(name, piece.Range.Offset, piece.Range.Length, repaired.Any(r => r.Frame.Key == piece.Frame.Key && r.Range.Contains(piece.Range)))))]);
    }

    // Where the maps name a table whose index cannot be read: all of them are walked.
    private async Task<List<WrittenRange>> FindAsync(int ordinal, CancellationToken cancellation)
    {
        var written = new List<WrittenRange>();
        var hits = new List<CommittedHit>();
        foreach (CommittedExport export in state.Exports)
        {
            for (long start = 0; start < export.Info.SizeBytes; start += MapPage.Span)
            {
                if (export.Map.SlotOf(start / MapPage.Span) is null) continue;
                hits.Clear();
                await export.Map.CollectAsync(
                    BlockRange.Between(start, Math.Min(start + MapPage.Span, export.Info.SizeBytes)), hits, cancellation);
                written.AddRange(hits
                    .Where(hit => hit.Frame?.Key.Table == ordinal)
                    .Select(hit => new WrittenRange(ordinal, export.Info.Id, hit.Range)));
            }
        }

        return written;
    }

    // Null when it is missing or short.
    private async Task<Body?> ReadAsync(TableInfo table, CancellationToken cancellation)
    {
        BufferLease lease = buffers.Rent((int)table.ObjectBytes);
        try
        {
            await objects.ReadRangeAsync(table.ObjectKey, 0, lease.Memory, cancellation);
        }
        catch (ObjectStoreException fault) when (fault.Kind is ObjectStoreErrorKind.ObjectMissing or ObjectStoreErrorKind.ShortBody or ObjectStoreErrorKind.Invalid)
        {
            lease.Release();
            return null;
        }
        catch
        {
            lease.Release();
            throw;
        }

        _bytes += table.ObjectBytes;
        progress(new ScrubProgress(_bytes, Math.Max(_bytes, _totalBytes)));
        return new Body(lease);
    }

    private static bool IsCurrent(StoredPage page) => page.Owners > 0;

    private IEnumerable<DamagedRange> RangesOf(StoredPage page) => state.Exports
        .Where(export => export.Map.SlotOf(page.Page)?.Base?.Stored == page)
        .Select(export => new DamagedRange(
            export.Info.Name, page.Start, Math.Min(MapPage.Span, export.Info.SizeBytes - page.Start), IsRepaired: false));

    private IEnumerable<string> NamesOf(LivePiece piece)
    {
        long page = piece.Range.Offset / MapPage.Span;
        HashSet<MapSlot?> slots = [.. piece.Maps.Select(id => state.Find(id)?.Map.SlotOf(page))];
        return state.Exports.Where(export => export.Map.SlotOf(page) is { } slot && slots.Contains(slot)).Select(static export => export.Info.Name);
    }

    private static bool IsDamage(Exception fault) =>
        fault is StorageFaultException { Kind: FaultKind.Corrupt or FaultKind.Invalid } or
            ObjectStoreException { Kind: ObjectStoreErrorKind.ObjectMissing or ObjectStoreErrorKind.ShortBody or ObjectStoreErrorKind.Invalid };

    private static void Count(Dictionary<int, long> live, int ordinal, long bytes) =>
        CollectionsMarshal.GetValueRefOrAddDefault(live, ordinal, out _) += bytes;

    private void Add(ScrubProblem problem, string key, string detail, IReadOnlyList<DamagedRange> ranges) =>
        _findings.Add(new ScrubFinding(problem, key, detail, ranges));

    private sealed record ScrubView(
        ChainPosition Position, IReadOnlyList<CountedTable> Tables, IReadOnlyList<StoredPage> Pages,
        bool IsCheckpointUnderWay);

    private sealed record CountedTable(int Ordinal, TableInfo Table, long LiveBytes);

    private sealed record Body(BufferLease Lease) : IDisposable
    {
        public void Dispose() => Lease.Release();
    }
}
