using System.Threading.Channels;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// The cut: an actor that groups journaled records, of all exports, into tables: when enough bytes have come, when the
/// oldest has waited for the publish interval, or when a barrier asks for it.
/// </summary>
/// <remarks>
/// Records wait here as long as the bucket is away: the queue is bounded by the WAL's byte budget, which every record
/// has passed, and what is queued is an index entry, not a payload. Barriers ride in the same queue, behind the records
/// that they cover.
/// </remarks>
internal sealed class CutStage : IDisposable
{
    // Zero records have no payload: this bounds the index of a table that holds little else.
    private const int RecordsMax = 64 * 1024;

    // Barriers share cuts. With two urgent cuts under way, the next ones wait and are grouped: a FLUSH waits one and a
    // half round trips at most, and many committers cost no more PUTs than a few.
    private const int UrgentInFlightMax = 2;

    // One interval to be cut in and one to be uploaded in is what happens by itself.
    private const int LateAfterIntervals = 4;

    // Timers count in milliseconds: a shorter sleep would be none.
    private static readonly TimeSpan SleepMin = TimeSpan.FromMilliseconds(1);

    // A cut that waits for the settler looks again when a settled table comes by, and at least so often.
    private static readonly TimeSpan PacedSleep = TimeSpan.FromMilliseconds(20);

    private readonly Channel<CutItem> _queue;
    private readonly WakeSignal _wake;
    private readonly StoreOptions _options;
    private readonly IWriteAheadLog _wal;
    private readonly BufferPool _buffers;
    private readonly TimeProvider _time;
    private readonly StageMeter _meter;
    private readonly SettlePacer _pacer;
    private readonly Func<TableDraft, ValueTask> _send;
    private readonly Lock _lock = new();
    private readonly LinkedList<TableDraft> _inFlight = [];
    private List<WriteRecord> _open = [];
    private TableDraft? _settled;
    private ChainPosition _next;
    private Sequence _last;
    private long _openBytes;
    private long _pendingBytes;
    private long _openedAt;
    private int _urgentInFlight;
    private bool _barrierWaits;
    private bool _catalogWaits;
    private volatile bool _idle;

    public CutStage(
        StoreOptions options, IWriteAheadLog wal, BufferPool buffers, TimeProvider time, PipelineMetrics metrics,
        ChainPosition next, Sequence last, SettlePacer pacer, Func<TableDraft, ValueTask> send)
    {
        _pacer = pacer;
        _options = options;
        _wal = wal;
        _buffers = buffers;
        _time = time;
        _next = next;
        _last = last;
        _send = send;
        _wake = new WakeSignal(time);

        // The smallest record takes more than 64 bytes of the WAL, so the WAL's budget bounds their number.
        int bound = (int)Math.Min(int.MaxValue / 2, (options.WalBytes / 64) + (1 << 20));
        _queue = Channel.CreateBounded<CutItem>(new BoundedChannelOptions(bound) { SingleReader = true });
        _meter = metrics.AddStage("cut", bound, () => _queue.Reader.Count);
    }

    /// <summary>Age of the oldest record that no committed table holds, or zero.</summary>
    public TimeSpan OldestUnpublished
    {
        get
        {
            long oldest;
            lock (_lock)
            {
                if (_inFlight.First is { } first) oldest = first.Value.Records[0].AcknowledgedAt;
                else if (_open.Count > 0) oldest = _openedAt;
                else if (_queue.Reader.TryPeek(out CutItem item) && item.Record is { } record) oldest = record.AcknowledgedAt;
                else return TimeSpan.Zero;
            }

            return _time.GetElapsedTime(oldest);
        }
    }

    /// <summary>True while somebody waits for what is in the pipeline, or its lag is several times what it should be.</summary>
    public bool IsHurried =>
        Volatile.Read(ref _urgentInFlight) > 0 || OldestUnpublished > _options.PublishInterval * LateAfterIntervals;

    /// <summary>Takes a record that is in the WAL. Called by the journal alone, in sequence.</summary>
    public void Enqueue(WriteRecord record)
    {
        long payload = record.Header.Kind == WalRecordKind.Data ? record.Header.Length : 0;
        if (!_queue.Writer.TryWrite(new CutItem(record)))
            throw new StorageFaultException(FaultKind.Closing, "The cut stage takes nothing more: the store is closing.");
        long before = Interlocked.Add(ref _pendingBytes, payload) - payload;

        // The loop is woken to start timing, and when another cut is full; not for every record.
        if (_idle || before / _options.TableBytes != (before + payload) / _options.TableBytes) _wake.Wake();
    }

    /// <summary>A barrier: what was enqueued before it is cut without waiting for more.</summary>
    public void Barrier()
    {
        // A queue that takes no more is cut to its end all the same.
        _queue.Writer.TryWrite(new CutItem(null));
        _wake.Wake();
    }

    /// <summary>
    /// Gives a settled table its number, between two cuts, and sends it on its way; the draft belongs to the pipeline
    /// from now on. One at a time.
    /// </summary>
    /// <returns>True once it is committed; false when it left the pipeline without.</returns>
    /// <exception cref="OperationCanceledException">The store stops. The table may be committed or not.</exception>
    public async Task<bool> CommitSettledAsync(TableDraft draft, CancellationToken cancellation)
    {
        Volatile.Write(ref _settled, draft);
        _wake.Wake();
        try
        {
            return await draft.Settled!.Ended.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            if (Interlocked.CompareExchange(ref _settled, null, draft) == draft) draft.Release();
            throw;
        }
    }

    /// <summary>Takes no more; the loop ends when all that came is cut.</summary>
    public void Complete()
    {
        _queue.Writer.TryComplete();
        _wake.Wake();
    }

    /// <summary>A draft reached its end, committed or not.</summary>
    public void Finished(TableDraft draft)
    {
        lock (_lock) _inFlight.Remove(draft);
        if (draft.IsUrgent) Interlocked.Decrement(ref _urgentInFlight);
        _wake.Wake();
    }

    /// <summary>The actor's loop.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await SendSettledAsync();
            Pull();
            bool ended = _queue.Reader.Completion.IsCompleted;
            TimeSpan rest = _options.PublishInterval - _time.GetElapsedTime(_openedAt);
            if (_open.Count == 0)
            {
                _barrierWaits = false;
                if (ended) return;
                await IdleAsync(cancellation);
            }
            else if (IsFull || ended || _catalogWaits || rest <= TimeSpan.Zero)
            {
                bool isWaitedFor = ended || _catalogWaits || _barrierWaits;
                if (_pacer.TryCut(_openBytes, isWaitedFor)) await CloseAsync(isUrgent: false, cancellation);
                else await _wake.SleepAsync(PacedSleep, cancellation);
            }
            else if (_barrierWaits && Volatile.Read(ref _urgentInFlight) < UrgentInFlightMax)
            {
                _pacer.TryCut(_openBytes, isUrgent: true);
                await CloseAsync(isUrgent: true, cancellation);
            }
            else
            {
                await _wake.SleepAsync(rest > SleepMin ? rest : SleepMin, cancellation);
            }
        }
    }

    public void Dispose() => _wake.Dispose();

    private bool IsFull => _openBytes >= _options.TableBytes || _open.Count >= RecordsMax;

    private async Task IdleAsync(CancellationToken cancellation)
    {
        // Whoever enqueues looks at the flag after the queue, this loop looks at the queue after the flag.
        _idle = true;
        Interlocked.MemoryBarrier();
        if (!_queue.Reader.TryPeek(out _) && Volatile.Read(ref _settled) is null) await _wake.SleepAsync(Timeout.InfiniteTimeSpan, cancellation);
        _idle = false;
    }

    private void Pull()
    {
        while (!IsFull && _queue.Reader.TryPeek(out CutItem item))
        {
            // A change of the catalog takes effect at the beginning of its table: what came before is cut first.
            _catalogWaits = item.Record?.CatalogChange is not null && _open.Count > 0 && _open[^1].CatalogChange is null;
            if (_catalogWaits) return;
            _queue.Reader.TryRead(out item);
            if (item.Record is not { } record)
            {
                _barrierWaits = true;
                continue;
            }

            long payload = record.Header.Kind == WalRecordKind.Data ? record.Header.Length : 0;
            lock (_lock)
            {
                if (_open.Count == 0) _openedAt = record.AcknowledgedAt;
                _open.Add(record);
            }

            _openBytes += payload;
        }
    }

    private async Task SendSettledAsync()
    {
        if (Interlocked.Exchange(ref _settled, null) is not { } draft) return;
        draft.Position = _next;
        draft.After = _last;
        _next = _next.NextNumber;
        try
        {
            await _send(draft);
        }
        catch
        {
            draft.Release();
            draft.Settled!.End();
            throw;
        }
    }

    private async Task CloseAsync(bool isUrgent, CancellationToken cancellation)
    {
        long started = _time.GetTimestamp();
        TableDraft draft;
        lock (_lock)
        {
            draft = new TableDraft
            {
                Position = _next,
                After = _last,
                Records = _open,
                PlainBytes = _openBytes,
                IsUrgent = isUrgent,
            };
            _inFlight.AddLast(draft);
            _open = [];
        }

        _meter.Begin(draft.PlainBytes);
        _next = _next.NextNumber;
        _last = draft.LastSequence;
        _openBytes = 0;
        Interlocked.Add(ref _pendingBytes, -draft.PlainBytes);

        // A barrier that was pulled is behind the records that it covers: they are in this cut or an earlier one.
        _barrierWaits = false;
        _catalogWaits = false;
        if (isUrgent) Interlocked.Increment(ref _urgentInFlight);
        await GatherAsync(draft, cancellation);
        _meter.End(draft.PlainBytes, _time.GetElapsedTime(started));
        long sent = _time.GetTimestamp();
        await _send(draft);
        _meter.WaitedForSpace(_time.GetElapsedTime(sent));
    }

    // Payloads that did not stay in memory come back from the WAL, in the order in which they were written there.
    private async Task GatherAsync(TableDraft draft, CancellationToken cancellation)
    {
        foreach (WriteRecord record in draft.Records)
        {
            cancellation.ThrowIfCancellationRequested();
            if (record.Header.Kind != WalRecordKind.Data)
            {
                draft.AddPayload(null);
            }
            else if (record.Payload is { } kept)
            {
                kept.AddReference();
                draft.AddPayload(kept);
            }
            else
            {
                BufferLease read = _buffers.Rent((int)record.Header.Length);
                draft.AddPayload(read);
                if (!await _wal.TryReadAsync(record.Position, record.Header, read.Memory))
                    throw StorageFaultException.Corrupt($"The WAL let go of record {record.Header.Sequence} before it was committed.");
            }
        }
    }

    private readonly record struct CutItem(WriteRecord? Record);
}
