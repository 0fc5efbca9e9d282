using System.Diagnostics;
using System.Diagnostics.Metrics;
using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Journal;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Engine;

/// <summary>
/// The front of the write path that all exports share: admission, the way into the journal, and the barriers of both
/// durability levels. Thread-safe.
/// </summary>
internal sealed class WriteFront
{
    private static readonly KeyValuePair<string, object?> s_journaled = new("level", "journaled");
    private static readonly KeyValuePair<string, object?> s_published = new("level", "published");

    private readonly JournalRequestPool _requests = new();
    private readonly Admission _admission;
    private readonly JournalStage _journal;
    private readonly SyncStage _sync;
    private readonly CutStage _cutter;
    private readonly SequenceFrontier _published;
    private readonly AckGate _gate;
    private readonly StoreSupervisor _supervisor;
    private readonly IWriteAheadLog _wal;
    private readonly TimeProvider _time;
    private readonly PipelineTraces _traces;
    private readonly Histogram<double> _barrierSeconds;
    private volatile bool _closed;

    public WriteFront(
        Admission admission, JournalStage journal, SyncStage sync, CutStage cutter, SequenceFrontier published,
        AckGate gate, StoreSupervisor supervisor, IWriteAheadLog wal, TimeProvider time, PipelineMetrics metrics)
    {
        _time = time;
        _traces = metrics.Traces;
        _barrierSeconds = metrics.Meter.CreateHistogram<double>(
            "zeroflow.barrier.duration", "s", "Time that a barrier (FLUSH, FUA) waits until what it covers is durable, by level.");
        _admission = admission;
        _journal = journal;
        _sync = sync;
        _cutter = cutter;
        _published = published;
        _gate = gate;
        _supervisor = supervisor;
        _wal = wal;
    }

    /// <summary>Refuses new operations; those inside go on.</summary>
    public void Close() => _closed = true;

    /// <inheritdoc cref="IBlockDevice.WriteAsync"/>
    public ValueTask WriteAsync(
        ExportId export, Memtable memtable, long offset, BufferLease payload, CancellationToken cancellation)
    {
        if (payload.Length == 0 || Refusal() is not null)
        {
            int length = payload.Length;
            payload.Release();
            return length == 0 && Refusal() is null ? ValueTask.CompletedTask : ValueTask.FromException(Refusal()!);
        }

        long walBytes = WalBytesOf(payload.Length);
        ValueTask admitted = _admission.EnterAsync(walBytes, cancellation);
        if (!admitted.IsCompletedSuccessfully)
            return WriteSlowlyAsync(admitted, export, memtable, offset, payload, walBytes);
        return Submit(export, memtable, offset, payload, walBytes);
    }

    /// <inheritdoc cref="IBlockDevice.ZeroAsync"/>
    public async ValueTask ZeroAsync(ExportId export, Memtable memtable, BlockRange range, CancellationToken cancellation)
    {
        if (Refusal() is { } refusal) throw refusal;
        long walBytes = _wal.RecordBytes(0);
        await _admission.EnterAsync(walBytes, cancellation);
        JournalRequest request = _requests.Rent();
        request.Zero(export, memtable, range, walBytes);
        request.Trace = _traces.Current;
        await _journal.SubmitAsync(request);
    }

    /// <summary>
    /// Journals a change of the catalog and makes it stable; <paramref name="onJournaled"/> runs in its place in the
    /// commit order.
    /// </summary>
    public async ValueTask ChangeCatalogAsync(byte[] change, Action onJournaled, CancellationToken cancellation)
    {
        if (Refusal() is { } refusal) throw refusal;
        long walBytes = _wal.RecordBytes(change.Length);
        await _admission.EnterAsync(walBytes, cancellation);
        JournalRequest request = _requests.Rent();
        request.Catalog(change, onJournaled, walBytes);
        await _journal.SubmitAsync(request);
        await FlushAsync(DurabilityLevel.Journaled, cancellation);
    }

    /// <summary>
    /// A barrier at the highest sequence that was answered: completes when everything up to it is durable at
    /// <paramref name="level"/>, and this server still owns the store.
    /// </summary>
    public ValueTask FlushAsync(DurabilityLevel level, CancellationToken cancellation)
    {
        if (Refusal() is { } refusal) return ValueTask.FromException(refusal);
        Sequence point = _journal.Appended;
        ValueTask reached;
        if (level == DurabilityLevel.Published)
        {
            if (_published.Reached < point) _cutter.Barrier();
            reached = _published.WhenReachedAsync(point);
        }
        else
        {
            reached = _sync.WhenStableAsync(point);
        }

        return FinishAsync(reached, level, cancellation);
    }

    /// <inheritdoc cref="IBlockDevice.ConfirmAsync"/>
    public ValueTask ConfirmAsync() =>
        _supervisor.Cause is { } cause ? ValueTask.FromException(cause) : _gate.PassAsync();

    private async ValueTask FinishAsync(ValueTask reached, DurabilityLevel level, CancellationToken cancellation)
    {
        using Activity? part = PipelineTraces.BeginPart("barrier");
        long started = _time.GetTimestamp();
        await WaitAsync(reached, cancellation);
        await WaitAsync(_gate.PassAsync(), cancellation);
        if (_supervisor.Cause is { } cause) throw cause;
        _barrierSeconds.Record(
            _time.GetElapsedTime(started).TotalSeconds, level == DurabilityLevel.Published ? s_published : s_journaled);
    }

    private static ValueTask WaitAsync(ValueTask wait, CancellationToken cancellation) =>
        cancellation.CanBeCanceled && !wait.IsCompleted ? new ValueTask(wait.AsTask().WaitAsync(cancellation)) : wait;

    private async ValueTask WriteSlowlyAsync(
        ValueTask admitted, ExportId export, Memtable memtable, long offset, BufferLease payload, long walBytes)
    {
        try
        {
            await admitted;
        }
        catch
        {
            payload.Release();
            throw;
        }

        await Submit(export, memtable, offset, payload, walBytes);
    }

    private ValueTask Submit(ExportId export, Memtable memtable, long offset, BufferLease payload, long walBytes)
    {
        JournalRequest request = _requests.Rent();
        request.Write(export, memtable, offset, payload, walBytes);
        request.Trace = _traces.Current;
        return _journal.SubmitAsync(request);
    }

    private StorageFaultException? Refusal() =>
        _supervisor.Cause ?? (_closed ? new StorageFaultException(FaultKind.Closing, "The store is closing.") : null);

    private long WalBytesOf(int length)
    {
        int whole = length / _wal.PayloadBytesMax;
        int rest = length % _wal.PayloadBytesMax;
        return ((long)whole * _wal.RecordBytes(_wal.PayloadBytesMax)) + (rest > 0 ? _wal.RecordBytes(rest) : 0);
    }
}
