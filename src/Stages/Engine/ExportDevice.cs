using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// One export as clients see it. Reads look at the memtable first and at the committed map for the gaps; writes go to
/// the journal.
/// </summary>
internal sealed partial class ExportDevice : IBlockDevice
{
    // A read that loses the race with a commit starts over; each time the commit has made progress.
    private const int ReadAttemptsMax = 5;

    // Null in a past store, whose exports are all read-only.
    private readonly WriteFront? _front;
    private readonly ReadParts _parts;
    private readonly CommittedMap _committed;
    private readonly ReadAhead _readAhead;
    private readonly Lock _planLock = new();
    private readonly Stack<ReadPlan> _plans = new();
    private volatile ExportInfo _info;
    private volatile bool _isClosed;
    private int _attached;

    public ExportDevice(ExportInfo info, CommittedMap committed, Memtable memtable, WriteFront? front, ReadParts parts)
    {
        _info = info;
        Memtable = memtable;
        _committed = committed;
        _front = front;
        _parts = parts;
        _readAhead = new ReadAhead(committed, parts.Frames, info.ChunkBytes, parts.ReadAheadBytes);
    }

    /// <inheritdoc/>
    public ExportInfo Info => _info;

    /// <summary>The export's index over the WAL.</summary>
    public Memtable Memtable { get; }

    /// <summary>What the chain says.</summary>
    public CommittedMap Committed => _committed;

    /// <summary>A journaled change takes effect. Called by the journal alone, in the commit order.</summary>
    public void Apply(CatalogChange.ExportChange change) => _info = change.ApplyTo(_info);

    /// <summary>Clients that are attached now.</summary>
    public int Attached => Volatile.Read(ref _attached);

    /// <summary>The export is deleted or becomes another: every operation from now on is refused.</summary>
    public void Close() => _isClosed = true;

    /// <summary>The export of a snapshot was renamed.</summary>
    public void Rename(string name) => _info = _info with { Name = name };

    /// <inheritdoc/>
    public IDisposable Attach() => new Attachment(this);

    /// <inheritdoc/>
    public ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation) =>
        ReadAsync(offset, destination, null, cancellation);

    /// <inheritdoc/>
    public ValueTask ReadOrBorrowAsync(
        long offset, Memory<byte> destination, List<BufferPiece> pieces, CancellationToken cancellation) =>
        ReadAsync(offset, destination, pieces, cancellation);

    /// <inheritdoc/>
    public ValueTask WriteAsync(long offset, BufferLease payload, bool forceUnitAccess, CancellationToken cancellation)
    {
        var range = new BlockRange(offset, payload.Length);
        if (!range.FitsIn(_info.SizeBytes))
        {
            payload.Release();
            CheckRange(range);
        }

        if (_info.IsReadOnly || _isClosed)
        {
            payload.Release();
            throw _isClosed ? Closed() : ReadOnly();
        }

        return forceUnitAccess || _info.WriteThrough
            ? ThenDurableAsync(_front!.WriteAsync(_info.Id, Memtable, offset, payload, cancellation), cancellation)
            : _front!.WriteAsync(_info.Id, Memtable, offset, payload, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellation)
    {
        CheckRange(range);
        if (_info.IsReadOnly) throw ReadOnly();
        if (range.IsEmpty) return ValueTask.CompletedTask;
        ValueTask zeroed = _front!.ZeroAsync(_info.Id, Memtable, range, cancellation);
        return forceUnitAccess || _info.WriteThrough ? ThenDurableAsync(zeroed, cancellation) : zeroed;
    }

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellation) =>
        _isClosed ? ValueTask.FromException(Closed()) : _front?.FlushAsync(_info.Level, cancellation) ?? ValueTask.CompletedTask;

    /// <inheritdoc/>
    public ValueTask ConfirmAsync() => _front?.ConfirmAsync() ?? ValueTask.CompletedTask;

    /// <inheritdoc/>
    public async ValueTask<int> GetStatusAsync(
        BlockRange range, Memory<BlockStatus> extents, CancellationToken cancellation)
    {
        CheckRange(range);
        if (extents.IsEmpty) return 0;
        ReadPlan plan = RentPlan();
        int count = 0;
        try
        {
            // Page by page: a long range is full of runs long before its end.
            for (long at = range.Offset; at < range.End;)
            {
                var part = BlockRange.Between(at, Math.Min(range.End, (at / MapPage.Span + 1) * MapPage.Span));
                plan.Clear();
                if (!TryLook(plan, part)) await LookAsync(plan, part, cancellation);
                foreach (MemtableHit hit in plan.Recent) hit.Payload?.Release();
                if (!AddStatus(plan, part, extents.Span, ref count)) return count;
                at = part.End;
            }

            return count;
        }
        finally
        {
            ReturnPlan(plan);
        }
    }

    /// <inheritdoc/>
    public void Prefetch(BlockRange range) => _readAhead.Prefetch(range, _info.SizeBytes);

    private ValueTask ReadAsync(
        long offset, Memory<byte> destination, List<BufferPiece>? pieces, CancellationToken cancellation)
    {
        var range = new BlockRange(offset, destination.Length);
        CheckRange(range);
        ReadPlan plan = RentPlan();
        bool complete = FillFromMemory(plan, range, destination.Span, pieces);
        _readAhead.Observe(range, _info.SizeBytes);
        if (!complete) return FillAsync(plan, range, destination, cancellation);
        ReturnPlan(plan);
        return ValueTask.CompletedTask;
    }

    // False when the next run has no room.
    private static bool AddStatus(ReadPlan plan, BlockRange part, Span<BlockStatus> extents, ref int count)
    {
        int recent = 0, committed = 0;
        for (long at = part.Offset; at < part.End;)
        {
            BlockStatus run;
            if (recent < plan.Recent.Count && plan.Recent[recent].Range.Offset == at)
            {
                MemtableHit hit = plan.Recent[recent++];
                run = new BlockStatus(hit.Range.Length, hit.Record.Header.Kind == WalRecordKind.Zero);
            }
            else
            {
                CommittedHit hit = plan.Committed[committed++];
                run = new BlockStatus(hit.Range.Length, hit.Frame is null);
            }

            at += run.Length;
            if (count > 0 && extents[count - 1].IsHole == run.IsHole)
                extents[count - 1] = run with { Length = extents[count - 1].Length + run.Length };
            else if (count < extents.Length) extents[count++] = run;
            else return false;
        }

        return true;
    }

    private async ValueTask ThenDurableAsync(ValueTask done, CancellationToken cancellation)
    {
        await done;
        await _front!.FlushAsync(_info.Level, cancellation);
    }

    private StorageFaultException ReadOnly() => new(FaultKind.Invalid, $"The export '{_info.Name}' is read-only.");

    private StorageFaultException Closed() => new(FaultKind.Closing, $"The export '{_info.Name}' was deleted or rolled back.");

    private void CheckRange(BlockRange range)
    {
        if (_isClosed) throw Closed();
        if (!range.FitsIn(_info.SizeBytes))
            throw new ArgumentOutOfRangeException(nameof(range), $"{range} does not lie in export {_info.Name} of {_info.SizeBytes} bytes.");
    }

    // The order is what makes a read safe against a commit: the memtable forgets a record only after the committed map
    // has learned of its table. False, with an empty plan, when a page of the map is not in memory.
    private bool TryLook(ReadPlan plan, BlockRange range)
    {
        Memtable.Collect(range, plan.Recent);
        bool isFound = false;
        try
        {
            isFound = TryCollectGaps(plan, range);
            return isFound;
        }
        finally
        {
            // Also when the export is deleted at this moment, which the map tells by throwing.
            if (!isFound) plan.ReleaseRecent();
        }
    }

    private bool TryCollectGaps(ReadPlan plan, BlockRange range)
    {
        long at = range.Offset;
        foreach (MemtableHit hit in plan.Recent)
        {
            if (hit.Range.Offset > at && !_committed.TryCollect(BlockRange.Between(at, hit.Range.Offset), plan.Committed))
                return false;
            at = hit.Range.End;
        }

        return at >= range.End || _committed.TryCollect(BlockRange.Between(at, range.End), plan.Committed);
    }

    // The same, bringing pages of the map into memory where need be.
    private async ValueTask LookAsync(ReadPlan plan, BlockRange range, CancellationToken cancellation)
    {
        Memtable.Collect(range, plan.Recent);
        try
        {
            long at = range.Offset;
            foreach (MemtableHit hit in plan.Recent)
            {
                if (hit.Range.Offset > at)
                    await _committed.CollectAsync(BlockRange.Between(at, hit.Range.Offset), plan.Committed, cancellation);
                at = hit.Range.End;
            }

            if (at < range.End)
                await _committed.CollectAsync(BlockRange.Between(at, range.End), plan.Committed, cancellation);
        }
        catch
        {
            plan.ReleaseRecent();
            throw;
        }
    }

    // True when every byte was in memory, the map included.
    private bool FillFromMemory(ReadPlan plan, BlockRange range, Span<byte> destination, List<BufferPiece>? pieces) =>
        TryLook(plan, range) && ((pieces is not null && TryBorrow(plan, range, pieces)) || FillFound(plan, range, destination));

    // Copies what is in memory, and notes the rest. True when there is no rest.
    private bool FillFound(ReadPlan plan, BlockRange range, Span<byte> destination)
    {
        foreach (MemtableHit hit in plan.Recent)
        {
            Span<byte> target = destination.Slice((int)(hit.Range.Offset - range.Offset), (int)hit.Range.Length);
            if (hit.Record.Header.Kind == WalRecordKind.Zero)
            {
                target.Clear();
            }
            else if (hit.Payload is { } payload)
            {
                payload.Span.Slice((int)(hit.Record.PayloadOffset + hit.Start), target.Length).CopyTo(target);
                payload.Release();
            }
            else
            {
                plan.Spilled.Add(hit);
            }
        }

        foreach (CommittedHit hit in plan.Committed)
        {
            Span<byte> target = destination.Slice((int)(hit.Range.Offset - range.Offset), (int)hit.Range.Length);
            if (hit.Frame is not { } frame) target.Clear();
            else if (_parts.Memory.TryGet(frame.Key, out BufferLease? plain)) Copy(hit, frame, plain, target);
            else plan.Missing.Add(hit);
        }

        return plan.Spilled.Count == 0 && plan.Missing.Count == 0;
    }

    private static void Copy(in CommittedHit hit, in FrameRef frame, BufferLease plain, Span<byte> target)
    {
        plain.Span.Slice((int)(hit.Range.Offset - frame.ExportOffset), target.Length).CopyTo(target);
        plain.Release();
    }

    private async ValueTask FillAsync(
        ReadPlan plan, BlockRange range, Memory<byte> destination, CancellationToken cancellation)
    {
        try
        {
            // An empty plan is one that a page of the map was missing for.
            for (int attempt = plan.IsEmpty ? 0 : 1; ; attempt++)
            {
                if (attempt > 0 &&
                    await TryFillAsync(plan, range, destination, isLast: attempt == ReadAttemptsMax, cancellation))
                    return;
                plan.Clear();
                await LookAsync(plan, range, cancellation);
                if (FillFound(plan, range, destination.Span)) return;
            }
        }
        finally
        {
            ReturnPlan(plan);
        }
    }

    // False when what the plan names has moved in the meantime: records into a table, or frames into a newer one.
    private async ValueTask<bool> TryFillAsync(
        ReadPlan plan, BlockRange range, Memory<byte> destination, bool isLast, CancellationToken cancellation)
    {
        foreach (MemtableHit hit in plan.Spilled)
        {
            BufferLease record = _parts.Buffers.Rent((int)hit.Record.Header.Length);
            try
            {
                if (!await _parts.Wal!.TryReadAsync(hit.Record.Position, hit.Record.Header, record.Memory)) return false;
                record.Span.Slice((int)hit.Start, (int)hit.Range.Length)
                    .CopyTo(destination.Span[(int)(hit.Range.Offset - range.Offset)..]);
            }
            finally
            {
                record.Release();
            }
        }

        if (plan.Missing.Count == 0) return true;
        try
        {
            foreach (CommittedHit hit in plan.Missing) plan.Frames.Add(hit.Frame!.Value);
            Memory<BufferLease?> leases = plan.LeasesFor(plan.Frames.Count);
            await _parts.Frames.ReadManyAsync(plan.Frames, leases, cancellation);
            for (int i = 0; i < plan.Missing.Count; i++)
            {
                CommittedHit hit = plan.Missing[i];
                int at = (int)(hit.Range.Offset - range.Offset);
                Copy(hit, plan.Frames[i], leases.Span[i]!, destination.Span.Slice(at, (int)hit.Range.Length));
            }

            return true;
        }
        catch (StorageFaultException gone) when (gone.Kind == FaultKind.Corrupt && !isLast && AnyTableIsDead(plan))
        {
            return false;
        }
        catch (StorageFaultException damage) when (damage.Kind == FaultKind.Corrupt)
        {
            IReadOnlyList<BlockRange> failed = await FillAroundDamageAsync(plan, range, destination, cancellation);
            if (failed.Count == 0) return true;
            throw new StorageFaultException(FaultKind.Corrupt, damage.Message, damage) { FailedRanges = failed };
        }
    }

    // A table is deleted only when nothing refers to it any more, so a plan that names one was overtaken by a commit.
    private bool AnyTableIsDead(ReadPlan plan)
    {
        foreach (FrameRef frame in plan.Frames)
        {
            if (_parts.Tables[frame.Key.Table] is not { } table || table.IsDying) return true;
        }

        return false;
    }

    private ReadPlan RentPlan()
    {
        lock (_planLock) return _plans.TryPop(out ReadPlan? plan) ? plan : new ReadPlan();
    }

    private void ReturnPlan(ReadPlan plan)
    {
        const int SpareMax = 64;
        bool isLarge = plan.IsLarge;
        plan.Clear();
        lock (_planLock)
        {
            if (!isLarge && _plans.Count < SpareMax) _plans.Push(plan);
        }
    }

    private sealed class Attachment : IDisposable
    {
        private ExportDevice? _device;

        public Attachment(ExportDevice device)
        {
            _device = device;
            Interlocked.Increment(ref device._attached);
        }

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _device, null) is { } device) Interlocked.Decrement(ref device._attached);
        }
    }
}
