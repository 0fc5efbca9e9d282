using System.Threading.Channels;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// (2) sequence and (3) journal: one actor that takes whatever waits as a batch, numbers it, appends it to the WAL,
/// hands it to the operating system, puts it into the memtables, and answers.
/// </summary>
/// <remarks>
/// A Channel and not a Dataflow block, because a 4 KiB write cannot afford several hops. One reader makes the one order
/// of the store. The batch is what makes the hand-over cheap: one system call for all that came meanwhile.
/// </remarks>
internal sealed class JournalStage
{
    /// <summary>Requests that may wait: eight connections with the 256 requests that each may have in flight, doubled.</summary>
    public const int QueueBound = 2 * 8 * 256;

    // Larger batches only add latency: at 1 GB/s this is 2 ms of sealing and copying.
    private const long BatchBytesMax = 2 * 1024 * 1024;
    private const int BatchRequestsMax = 512;

    private readonly Channel<JournalRequest> _queue;
    private readonly IWriteAheadLog _wal;
    private readonly CutStage _cutter;
    private readonly AckGate _gate;
    private readonly Admission _admission;
    private readonly StoreSupervisor _supervisor;
    private readonly ByteBudget _memory;
    private readonly TimeProvider _time;
    private readonly PipelineTraces _traces;
    private readonly StageMeter _sequenceMeter;
    private readonly StageMeter _journalMeter;
    private readonly List<JournalRequest> _batch = [];
    private readonly List<WriteRecord> _records = [];
    private ulong _last;
    private ulong _appended;

    public JournalStage(
        IWriteAheadLog wal, CutStage cutter, AckGate gate, Admission admission, StoreSupervisor supervisor,
        ByteBudget memory, TimeProvider time, PipelineMetrics metrics, Sequence last)
    {
        _wal = wal;
        _cutter = cutter;
        _gate = gate;
        _admission = admission;
        _supervisor = supervisor;
        _memory = memory;
        _time = time;
        _traces = metrics.Traces;
        _last = last.Value;
        _appended = last.Value;
        _queue = Channel.CreateBounded<JournalRequest>(new BoundedChannelOptions(QueueBound) { SingleReader = true });
        _sequenceMeter = metrics.AddStage("sequence", QueueBound, () => _queue.Reader.Count);
        _journalMeter = metrics.AddStage("journal", BatchRequestsMax, () => _batch.Count);
    }

    /// <summary>
    /// The highest sequence that is in the operating system's hands. Everything that was answered is at or below it, so
    /// it is the point that a FLUSH which arrives now has to wait for.
    /// </summary>
    public Sequence Appended => new(Volatile.Read(ref _appended));

    /// <summary>Queues a request; waits while the queue is full.</summary>
    public ValueTask SubmitAsync(JournalRequest request) =>
        _queue.Writer.TryWrite(request) ? request.Completion : SubmitSlowlyAsync(request);

    /// <summary>Takes no more requests; the loop ends when those that wait are answered.</summary>
    public void Complete() => _queue.Writer.TryComplete();

    /// <summary>The actor's loop.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (await _queue.Reader.WaitToReadAsync(cancellation))
        {
            long started = _time.GetTimestamp();
            long bytes = TakeBatch();
            _sequenceMeter.Begin(bytes, _batch.Count);
            _journalMeter.Begin(bytes, _batch.Count);
            Exception? fault = await JournalAsync();
            TimeSpan busy = _time.GetElapsedTime(started);
            _sequenceMeter.End(bytes, TimeSpan.Zero, _batch.Count);
            _journalMeter.End(bytes, busy, _batch.Count);
            if (_traces.IsOn) TellTraces(busy);
            Answer(fault);
        }
    }

    // Who waits for the batch is not on this thread, so that its parts are added when they are over.
    private void TellTraces(TimeSpan busy)
    {
        DateTime end = _time.GetUtcNow().UtcDateTime;
        foreach (JournalRequest request in _batch)
        {
            if (request.Trace is not { } trace) continue;
            PipelineTraces.Add("sequence", trace, trace.StartTimeUtc, end - busy);
            PipelineTraces.Add("journal", trace, end - busy, end);
        }
    }

    private async ValueTask SubmitSlowlyAsync(JournalRequest request)
    {
        long started = _time.GetTimestamp();
        try
        {
            await _queue.Writer.WriteAsync(request);
        }
        catch (ChannelClosedException)
        {
            request.Payload?.Release();
            _admission.Abandon(request.WalBytes);
            throw new StorageFaultException(FaultKind.Closing, "The store is closing.");
        }

        _sequenceMeter.WaitedForSpace(_time.GetElapsedTime(started));
        await request.Completion;
    }

    private long TakeBatch()
    {
        _batch.Clear();
        _records.Clear();
        long bytes = 0;
        while (bytes < BatchBytesMax && _batch.Count < BatchRequestsMax && _queue.Reader.TryRead(out JournalRequest? request))
        {
            _batch.Add(request);
            bytes += request.Payload?.Length ?? 0;
        }

        return bytes;
    }

    // Null when the batch is in the WAL, in the memtables, and may be answered.
    private async ValueTask<Exception?> JournalAsync()
    {
        try
        {
            _supervisor.ThrowIfFailed();
            await AppendAsync();
            if (_records.Count > 0)
            {
                await _wal.HandOverAsync();
                Publish();
            }
        }
        catch (Exception fault)
        {
            _supervisor.Fail("journal", fault);
            return Explain(fault);
        }

        try
        {
            await _gate.PassAsync();
            _supervisor.ThrowIfFailed();
            return null;
        }
        catch (Exception fault)
        {
            return Explain(fault);
        }
    }

    private Exception Explain(Exception fault) => _supervisor.Cause ??
        (fault is OperationCanceledException
            ? new StorageFaultException(FaultKind.Closing, "The store is closing.", fault)
            : fault);

    private async ValueTask AppendAsync()
    {
        long now = _time.GetTimestamp();
        StorageFaultException? full = null;
        foreach (JournalRequest request in _batch)
        {
            if (full is not null)
            {
                Refuse(request, 0, full);
                continue;
            }

            // The whole buffer stays in memory, or none of it: its pieces share it.
            bool keeps = request.Payload is { } whole && _memory.TryTake(whole.Capacity);
            long done = 0;
            try
            {
                do
                {
                    int piece = (int)Math.Min(request.Payload?.Length - done ?? 0, _wal.PayloadBytesMax);
                    done = await AppendPieceAsync(request, done, piece, keeps, now);
                }
                while (request.Payload is { } payload && done < payload.Length);
            }
            catch (StorageFaultException fault) when (fault.Kind == FaultKind.Full)
            {
                // The rest of the batch would wait just as long, in line: it gets the same answer now.
                full = fault;
                if (keeps) _memory.Return(request.Payload!.Capacity);
                Refuse(request, done, fault);
            }
        }
    }

    private async ValueTask<long> AppendPieceAsync(JournalRequest request, long done, int piece, bool keeps, long now)
    {
        int payloadBytes = request.CatalogChange?.Length ?? piece;
        int recordBytes = _wal.RecordBytes(payloadBytes);
        await _wal.ReserveAsync(recordBytes, _supervisor.Stopping);
        long length = request.Kind == WalRecordKind.Data ? piece : request.Range.Length;
        var header = new WalRecordHeader(
            new Sequence(_last + 1), request.Kind, request.Export, request.Range.Offset + done, length);
        WalPosition position = request.Payload is { } payload
            ? _wal.Append(header, payload.Span.Slice((int)done, piece))
            : _wal.Append(header, request.CatalogChange);
        BufferLease? kept = keeps ? request.Payload : null;
        kept?.AddReference();

        _last++;
        _records.Add(new WriteRecord(header, position, now, kept, (int)done, _memory)
        {
            // The last piece is the last to be committed: with it goes the buffer.
            MemoryBytes = kept is not null && done + piece == kept.Length ? kept.Capacity : 0,
            CatalogChange = request.CatalogChange,
            Memtable = request.Memtable,
            WalBytes = recordBytes,
            Trace = request.Trace,
        });
        return done + piece;
    }

    private void Refuse(JournalRequest request, long done, StorageFaultException fault)
    {
        long used = 0;
        for (long at = 0; at < done; at += _wal.PayloadBytesMax)
            used += _wal.RecordBytes((int)Math.Min(_wal.PayloadBytesMax, done - at));
        _admission.Abandon(request.WalBytes - used);
        request.Fault = fault;
    }

    // The order matters: a record is readable before it is answered, and queued for its cut before any FLUSH can ask.
    private void Publish()
    {
        foreach (WriteRecord record in _records)
        {
            record.Memtable?.Insert(record);
            _cutter.Enqueue(record);
        }

        foreach (JournalRequest request in _batch)
        {
            if (request.Fault is null) request.OnJournaled?.Invoke();
        }

        Volatile.Write(ref _appended, _last);
    }

    private void Answer(Exception? fault)
    {
        foreach (JournalRequest request in _batch)
        {
            request.Payload?.Release();
            request.Fault = fault ?? request.Fault;
        }

        CompletionBurst.Complete(_batch);
        _batch.Clear();
    }
}
