using System.Buffers;
using System.Diagnostics;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Telemetry;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// The transmission phase of one connection: stage (1) of the pipeline, "admit".
/// </summary>
/// <remarks>
/// The receive thread parses all requests of a receive, starts each on the device and goes on; it waits only for the
/// socket and for room in the <see cref="RequestWindow"/>. Operations that complete at once are answered together at
/// the end of the burst, without a change of threads. The others are answered where they complete, in any order, and together
/// where they complete together (<see cref="CompletionBurst"/>).
/// </remarks>
internal sealed class Transmission
{
    // A READ below this is not looked up a second time for the holes that its reply could leave out.
    private const int SparseReadBytesMin = 32 * 1024;

    // From here on bytes are sent from where they lie. Below it a copy costs nothing: it brings them into the processor's
    // cache, out of which the system copies them again faster than out of memory.
    private const int LentReadBytesMin = 256 * 1024;

    private readonly IWireTransport _transport;
    private readonly ReceiveBuffer _input;
    private readonly IBlockDevice _device;
    private readonly SessionTerms _terms;
    private readonly ConnectionServices _services;
    private readonly CancellationToken _aborted;
    private readonly IReadOnlyList<MetaContext> _contexts;
    private readonly BlockStatusReply _status;
    private readonly int _headerBytes;
    private readonly RequestWindow _window;
    private readonly ReplyQueue _replies;
    private readonly ExportMeter _meter;
    private long _burstArrivedAt;
    private int _operations;

    /// <param name="transport">The connection.</param>
    /// <param name="input">What was received behind the handshake, and what will be.</param>
    /// <param name="device">The export that the client attached.</param>
    /// <param name="terms">What was agreed on.</param>
    /// <param name="services">What the server provides.</param>
    /// <param name="onBroken">Told when replies cannot be sent any more; aborts the connection.</param>
    /// <param name="aborted">Gives up the operations of a connection that is gone.</param>
    public Transmission(
        IWireTransport transport,
        ReceiveBuffer input,
        IBlockDevice device,
        SessionTerms terms,
        ConnectionServices services,
        Action<Exception> onBroken,
        CancellationToken aborted)
    {
        _transport = transport;
        _input = input;
        _device = device;
        _terms = terms;
        _services = services;
        _aborted = aborted;
        _meter = services.Meter.ForExport(device.Info.Name);
        _contexts = terms.ContextsOf(device.Info.Name);
        _status = new BlockStatusReply(terms.IsExtended);
        _headerBytes = terms.IsExtended ? RequestHeader.ExtendedSize : RequestHeader.CompactSize;
        _window = new RequestWindow(services.Options, services.SharedBudget, CompleteLater, aborted);
        _replies = new ReplyQueue(
            transport, _window, services.Pool, services.Options.RequestsInFlightMax, terms.Replies,
            device.ConfirmAsync, onBroken);
    }

    /// <summary>Serves requests until the client leaves, or the server stops and nothing is under way.</summary>
    /// <exception cref="NbdProtocolException">The client broke the protocol.</exception>
    /// <exception cref="System.Net.Sockets.SocketException">The connection broke.</exception>
    public void Receive()
    {
        while (true)
        {
            if (_input.Unread.Length < _headerBytes)
            {
                _replies.Flush();
                if (IsStopped || !_input.Fill(_headerBytes)) return;
                _burstArrivedAt = _services.Time.GetTimestamp();
            }

            RequestHeader header = RequestHeader.Parse(_input.Unread, _terms.IsExtended);
            _input.Consume(_headerBytes);
            if (header.Command == NbdCommand.Disconnect || !Handle(header)) return;
        }
    }

    /// <summary>Blocks until everything that was started is answered or dropped, and returns all buffers.</summary>
    public void Finish()
    {
        _replies.Flush();
        _window.WaitUntilEmpty();
        _replies.Close();
    }

    /// <summary>Ends the connection once nothing is under way. For a server that stops; from any thread.</summary>
    public void EndWhenIdle()
    {
        if (IsStopped) _transport.EndReceive();
    }

    /// <summary>Lets the receive thread notice that the connection was aborted.</summary>
    public void Wake() => _window.Wake();

    private bool IsStopped => _services.Stop.IsRequested && Volatile.Read(ref _operations) == 0;

    /// <summary>Admits one request; false when the stream ended in the middle of it.</summary>
    private bool Handle(RequestHeader header)
    {
        // A reply must not wait for bytes that the client may send only after reading it.
        if (header.HasPayload && header.Length > (ulong)_input.Unread.Length) _replies.Flush();
        NbdError refusal = NbdError.None;
        uint contexts = 0;
        if (header.HasPayload && header.Length > RequestRules.PayloadBytesMax && _terms.IsExtended)
            throw new NbdProtocolException($"A request came with {header.Length} bytes of payload.");
        if (header.Command == NbdCommand.BlockStatus && !TakeFilter(ref header, ref contexts, ref refusal)) return false;
        if (refusal == NbdError.None) refusal = RequestRules.Check(header, _device.Info, _terms);
        if (refusal != NbdError.None && header.HasPayload && !_input.Skip((long)header.Length)) return false;

        NbdRequest request = Admit(header, refusal == NbdError.None ? PayloadBytesOf(header, contexts) : 0);
        request.Contexts = contexts;
        bool isWrite = header.Command == NbdCommand.Write;
        if (refusal == NbdError.None && isWrite && header.Length > 0 && !_input.ReadInto(request.Payload!.Span))
        {
            Abandon(request);
            return false;
        }

        Interlocked.Increment(ref _operations);
        if (_services.Stop.IsRequested) refusal = NbdError.Shutdown;
        if (refusal == NbdError.None) Start(request);
        else Complete(request, refusal, defer: true);
        return true;
    }

    /// <summary>
    /// Finds which contexts a BLOCK_STATUS is about, and how many bytes if a payload says so, which is taken off the
    /// stream; false when that ended.
    /// </summary>
    private bool TakeFilter(ref RequestHeader header, ref uint contexts, ref NbdError refusal)
    {
        contexts = (1u << _contexts.Count) - 1;
        if (!header.HasPayload) return true;
        if (header.Length > StatusFilter.BytesMax)
        {
            refusal = NbdError.Invalid;
            return true;
        }

        Span<byte> payload = stackalloc byte[StatusFilter.BytesMax];
        payload = payload[..(int)header.Length];
        if (!_input.ReadInto(payload)) return false;
        if (!StatusFilter.TryParse(payload, _contexts.Count, out ulong length, out contexts)) refusal = NbdError.Invalid;
        header = header with { Length = length, HasPayload = false };
        return true;
    }

    private int PayloadBytesOf(in RequestHeader header, uint contexts) => header.Command switch
    {
        NbdCommand.Read or NbdCommand.Write => (int)header.Length,
        NbdCommand.BlockStatus => _status.BytesMax(header, contexts),
        _ => 0,
    };

    private NbdRequest Admit(in RequestHeader header, int payloadBytes)
    {
        long memory = payloadBytes > 0 ? BufferPool.CapacityFor(payloadBytes) : 0;
        NbdRequest request = _window.TryEnter(memory) ?? WaitForRoom(memory);
        request.Header = header;
        request.ArrivedAt = _burstArrivedAt;
        request.PayloadBytes = payloadBytes;
        request.RunCount = 0;
        request.FailedRanges = [];
        if (payloadBytes > 0) RentPayload(request, payloadBytes);
        _services.Meter.Admit.Begin(request.PayloadBytes);
        return request;
    }

    private void RentPayload(NbdRequest request, int bytes)
    {
        try
        {
            request.Payload = _services.Pool.Rent(bytes);
        }
        catch
        {
            // Out of memory. The connection ends with that, and must not wait for a request that never began.
            _window.Leave(request);
            throw;
        }
    }

    private NbdRequest WaitForRoom(long memory)
    {
        _replies.Flush();
        long started = _services.Time.GetTimestamp();
        _services.Meter.BeginWait();
        try
        {
            return _window.Enter(memory);
        }
        finally
        {
            _services.Meter.EndWait(_services.Time.GetElapsedTime(started));
        }
    }

    private void Start(NbdRequest request)
    {
        PipelineTraces traces = _services.Meter.Traces;
        Activity? trace = traces.IsOn
            ? traces.Begin(ExportMeter.TraceName(request.Header.Command), _services.Time.GetElapsedTime(request.ArrivedAt))
            : null;
        request.Trace = trace;
        bool isDone;
        try
        {
            isDone = request.Begin(Invoke(request));
        }
        catch (Exception fault)
        {
            Complete(request, CodeFor(request, fault), defer: true);
            return;
        }
        finally
        {
            // What the operation goes on with keeps its trace; this thread goes on with the next request.
            if (trace is not null) Activity.Current = null;
        }

        if (isDone) Complete(request, ResultOf(request), defer: true);
        else request.Operation.UnsafeOnCompleted(request.Continuation);
    }

    private ValueTask Invoke(NbdRequest request)
    {
        RequestHeader header = request.Header;
        if (header.Length == 0 && header.Command != NbdCommand.Flush) return ValueTask.CompletedTask;
        var range = new BlockRange((long)header.Offset, (long)header.Length);
        switch (header.Command)
        {
            case NbdCommand.Read when _terms.HasChunks && header.Length >= SparseReadBytesMin:
                return ReadSparseAsync(request, range);
            case NbdCommand.BlockStatus:
                return GetStatusAsync(request, range);
            case NbdCommand.Read:
                return ReadAsync(request, range);
            case NbdCommand.Write:
                BufferLease payload = request.Payload!;
                request.Payload = null;
                return _device.WriteAsync(range.Offset, payload, header.ForcesUnitAccess, _aborted);
            case NbdCommand.Flush:
                return _device.FlushAsync(_aborted);
            case NbdCommand.Trim or NbdCommand.WriteZeroes:
                return _device.ZeroAsync(range, header.ForcesUnitAccess, _aborted);
            case NbdCommand.Cache:
                _device.Prefetch(range);
                return ValueTask.CompletedTask;
            default:
                throw new UnreachableException($"Command {header.Command} passed the rules.");
        }
    }

    private ValueTask ReadAsync(NbdRequest request, BlockRange range) => range.Length >= LentReadBytesMin
        ? _device.ReadOrBorrowAsync(range.Offset, request.Payload!.Memory, request.Borrowed, _aborted)
        : _device.ReadAsync(range.Offset, request.Payload!.Memory, _aborted);

    // What is lent has no holes. Otherwise the bytes first, then where there are holes: what becomes data in between is in
    // the bytes as zeros, and what becomes a hole in between was trimmed while the client was reading.
    private async ValueTask ReadSparseAsync(NbdRequest request, BlockRange range)
    {
        await ReadAsync(request, range);
        if ((request.Header.Flags & CommandFlags.DontFragment) != 0 || request.Borrowed.Count > 0) return;
        int count = await _device.GetStatusAsync(range, request.Runs, _aborted);
        long covered = 0;
        bool hasHole = false;
        foreach (BlockStatus run in request.Runs.AsSpan(0, count))
        {
            covered += run.Length;
            hasHole |= run.IsHole;
        }

        // More runs than one reply takes are sent as they were read.
        request.RunCount = hasHole && covered == range.Length ? count : 0;
    }

    private async ValueTask GetStatusAsync(NbdRequest request, BlockRange range)
    {
        range = range with { Length = Math.Min(range.Length, BlockStatusReply.RangeBytesMax) };
        int used = 0;
        uint contexts = request.Contexts;
        foreach (MetaContext context in _contexts)
        {
            uint bit = 1u << (int)(context.Id - 1);
            if ((contexts & bit) == 0) continue;
            contexts &= ~bit;
            used += context.Changes is { } changes
                ? await GetChangesAsync(request, range, context.Id, changes, used, isLast: contexts == 0)
                : await GetAllocationAsync(request, range, context.Id, used, isLast: contexts == 0);
        }

        request.Payload!.Truncate(used);
    }

    // Returns the bytes of the context's chunk, which goes behind those of the others.
    private async ValueTask<int> GetAllocationAsync(
        NbdRequest request, BlockRange range, uint context, int start, bool isLast)
    {
        BlockStatus[] runs = ArrayPool<BlockStatus>.Shared.Rent(BlockStatusReply.RunsMax);
        try
        {
            int runsMax = BlockStatusReply.RunsFor(request.Header);
            int count = await _device.GetStatusAsync(range, runs.AsMemory(0, runsMax), _aborted);
            return _status.Write(
                request.Payload!.Span[start..], request.Header, context, runs.AsSpan(0, count), isLast);
        }
        finally
        {
            ArrayPool<BlockStatus>.Shared.Return(runs);
        }
    }

    private async ValueTask<int> GetChangesAsync(
        NbdRequest request, BlockRange range, uint context, IChangedRanges changes, int start, bool isLast)
    {
        ChangedRun[] runs = ArrayPool<ChangedRun>.Shared.Rent(BlockStatusReply.RunsMax);
        try
        {
            int runsMax = BlockStatusReply.RunsFor(request.Header);
            int count = await changes.GetAsync(range, runs.AsMemory(0, runsMax), _aborted);
            return _status.Write(
                request.Payload!.Span[start..], request.Header, context, runs.AsSpan(0, count), isLast);
        }
        finally
        {
            ArrayPool<ChangedRun>.Shared.Return(runs);
        }
    }

    private void CompleteLater(NbdRequest request) =>
        Complete(request, ResultOf(request), defer: CompletionBurst.TellEnd(_replies));

    private NbdError ResultOf(NbdRequest request)
    {
        try
        {
            request.Operation.GetResult();
            return NbdError.None;
        }
        catch (Exception fault)
        {
            return CodeFor(request, fault);
        }
    }

    /// <summary>Counts and answers a request. It is not used any more afterwards.</summary>
    private void Complete(NbdRequest request, NbdError error, bool defer)
    {
        RequestHeader header = request.Header;
        if (error != NbdError.None && request.FailedRanges.Count == 0) request.ReleasePayload();
        TimeSpan duration = _services.Time.GetElapsedTime(request.ArrivedAt);
        _services.Meter.Admit.End(request.PayloadBytes, duration);
        _meter.Count(header.Command, error, header.Command == NbdCommand.Flush ? 0 : (long)header.Length, duration);
        if (request.Trace is { } trace)
        {
            request.Trace = null;
            _meter.End(trace, header, error);
        }

        _replies.Add(request, error, defer);
        if (Interlocked.Decrement(ref _operations) == 0) EndWhenIdle();
    }

    /// <summary>Forgets a request whose payload did not come.</summary>
    private void Abandon(NbdRequest request)
    {
        _services.Meter.Admit.End(0, _services.Time.GetElapsedTime(request.ArrivedAt));
        request.ReleasePayload();
        _window.Leave(request);
    }

    private NbdError CodeFor(NbdRequest request, Exception fault)
    {
        _services.Log.OperationFailed(request.Header.Command, _device.Info.Name, fault);
        if (_terms.HasChunks && request.Header.Command == NbdCommand.Read
            && fault is StorageFaultException { FailedRanges: { Count: > 0 } failed })
        {
            request.FailedRanges = failed;
        }

        return FaultCodes.ToNbd(fault);
    }
}
