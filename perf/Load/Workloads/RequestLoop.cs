using System.Runtime.InteropServices;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

/// <summary>
/// Drives one connection from one thread: keeps its lanes busy (closed loop) or feeds them as requests fall due (open
/// loop), takes replies in any order, and measures. Sends never wait, so that a server that stops reading until its
/// replies are taken cannot deadlock with it.
/// </summary>
internal sealed unsafe class RequestLoop : IDisposable
{
    private readonly int _socket;
    private readonly LaneProgram[] _programs;
    private readonly Lane[] _lanes;
    private readonly Stack<int> _idle;
    private readonly SendQueue _outgoing;
    private readonly ReplyStream _incoming;
    private readonly PayloadPool _payloads;
    private readonly LoadWindow _window;
    private readonly ArrivalClock? _arrivals;
    private readonly byte* _stamped;
    private readonly int _stampedStride;
    private long _writes;
    private int _inFlight;
    private int _payloadLane;
    private int _payloadLeft;

    /// <summary>
    /// A loop over a session that stays the caller's, as do the payloads. Without arrivals it is closed.
    /// <c>stampedBytes</c> is the longest request when blocks are stamped and checked, 0 for neither;
    /// <c>firstPayload</c> lets connections begin at different places of the pool.
    /// </summary>
    public RequestLoop(
        NbdSession session, LaneProgram[] programs, PayloadPool payloads, LoadWindow window, ArrivalClock? arrivals,
        int stampedBytes, int firstPayload)
    {
        _socket = (int)session.Socket.Handle;
        _programs = programs;
        _lanes = new Lane[programs.Length];
        _idle = new Stack<int>(Enumerable.Range(0, programs.Length));
        _outgoing = new SendQueue(programs.Length);
        _incoming = new ReplyStream(_socket);
        _payloads = payloads;
        _window = window;
        _arrivals = arrivals;
        _stampedStride = stampedBytes;
        _stamped = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, programs.Length * (long)stampedBytes), 4096);
        _writes = firstPayload;
    }

    public LoopRecord Record { get; } = new();

    /// <summary>Runs until the window has passed and every request is answered, or the programs have ended.</summary>
    /// <exception cref="NbdException">The server failed a request, broke the protocol, hung up, or stalled.</exception>
    public void Run()
    {
        if (_arrivals is null) StartAll();
        else NativeSocket.SharpenTimers();
        while (true)
        {
            if (_arrivals is not null) StartDue(_arrivals);
            if (_inFlight == 0 && (_arrivals?.Exhausted ?? true)) return;

            _outgoing.Send(_socket);
            if (_outgoing.IsEmpty && _arrivals is null)
            {
                _incoming.Receive(dontWait: false);
            }
            else if (WaitForSocket())
            {
                _incoming.Receive(dontWait: true);
            }

            TakeReplies(LoadWindow.Now());
        }
    }

    public void Dispose()
    {
        _outgoing.Dispose();
        _incoming.Dispose();
        NativeMemory.AlignedFree(_stamped);
    }

    private void StartAll()
    {
        while (_idle.TryPop(out var lane))
        {
            if (!_programs[lane].TryNext(out var request)) return;
            Issue(lane, request, LoadWindow.Now());
        }
    }

    private void StartDue(ArrivalClock arrivals)
    {
        var now = LoadWindow.Now();

        // An overloaded server leaves a backlog; it is worked off for as long as the window was, then given up.
        if (now > _window.StopAt + (_window.StopAt - _window.StartAt) && !arrivals.Exhausted)
            Record.Unsent = arrivals.GiveUp();

        while (_idle.Count > 0 && arrivals.TryTake(now, out var due))
        {
            var lane = _idle.Pop();
            if (_programs[lane].TryNext(out var request)) Issue(lane, request, due);
        }
    }

    private void Issue(int lane, in BlockRequest request, long started)
    {
        ref var state = ref _lanes[lane];
        if (request.Begins) state.TransactionStarted = started;
        state.Request = request;
        state.Started = started;
        state.Busy = true;
        state.Cookie = (uint)lane | (((state.Cookie >> 16) + 1) << 16);
        _inFlight++;
        _outgoing.Add(lane, request, state.Cookie, request.Command == NbdCommand.Write ? Payload(lane, request) : null);
    }

    private byte* Payload(int lane, in BlockRequest request)
    {
        var payload = _payloads.At(_writes++, request.Length);
        if (_stampedStride == 0) return payload;

        var copy = _stamped + ((long)lane * _stampedStride);
        Buffer.MemoryCopy(payload, copy, _stampedStride, request.Length);
        BlockStamp.Write(new Span<byte>(copy, request.Length), request.Offset);
        return copy;
    }

    /// <summary>Waits for the socket or the next arrival; says whether there is something to receive.</summary>
    private bool WaitForSocket()
    {
        var wait = (long)NbdSession.SilenceMax.TotalNanoseconds;
        var dueFirst = _arrivals is { Exhausted: false } && _idle.Count > 0;
        if (dueFirst) wait = Math.Clamp(_arrivals!.NextDue - LoadWindow.Now(), 0, wait);

        var entry = new NativeSocket.PollEntry
        {
            Socket = _socket,
            Events = _outgoing.IsEmpty ? NativeSocket.PollIn : (short)(NativeSocket.PollIn | NativeSocket.PollOut),
        };
        var timeout = new NativeSocket.TimeSpec { Seconds = wait / 1_000_000_000, Nanoseconds = wait % 1_000_000_000 };
        var ready = NativeSocket.Poll(&entry, 1, &timeout, null);
        if (ready == 0 && !dueFirst)
            throw new NbdException($"The server has stalled: no reply for {NbdSession.SilenceMax.TotalSeconds} s.");
        return ready > 0 && (entry.Returned & ~NativeSocket.PollOut) != 0;
    }

    private void TakeReplies(long now)
    {
        while (true)
        {
            if (_payloadLeft > 0)
            {
                TakePayload();
                if (_payloadLeft > 0) return;
                Complete(_payloadLane, now);
                continue;
            }

            if (!_incoming.TryTakeHeader(out var error, out var cookie)) return;

            var lane = (int)(cookie & 0xffff);
            if (lane >= _lanes.Length || !_lanes[lane].Busy || _lanes[lane].Cookie != cookie)
                throw new NbdException($"The server answered cookie {cookie:x}, which is not outstanding.");

            ref readonly var request = ref _lanes[lane].Request;
            if (error != 0)
                throw new NbdException(
                    $"{request.Command} of {request.Length} bytes at {request.Offset} failed with NBD error {error}.");

            if (request.Command == NbdCommand.Read)
            {
                _payloadLane = lane;
                _payloadLeft = request.Length;
            }
            else
            {
                Complete(lane, now);
            }
        }
    }

    private void TakePayload()
    {
        var part = _incoming.TakePayload(_payloadLeft);
        if (_stampedStride > 0)
        {
            ref readonly var request = ref _lanes[_payloadLane].Request;
            var whole = new Span<byte>(_stamped + ((long)_payloadLane * _stampedStride), request.Length);
            part.CopyTo(whole[(request.Length - _payloadLeft)..]);
            if (part.Length == _payloadLeft && BlockStamp.FindWrong(whole, request.Offset) is >= 0 and var wrong)
                throw new NbdException($"Wrong data: the block at {wrong} does not carry its stamp.");
        }

        _payloadLeft -= part.Length;
    }

    private void Complete(int lane, long now)
    {
        ref var state = ref _lanes[lane];
        var request = state.Request;
        state.Busy = false;
        _inFlight--;
        Record.CountCompletion();
        if (state.TransactionStarted >= _window.MeasureFrom)
        {
            Record.RecordRequest(KindOf(request.Command), request.Length, state.Started, now);
            if (!request.Begins && request.Ends) Record.RecordCommit(state.TransactionStarted, now);
        }

        var continues = !request.Ends || (_arrivals is null && now < _window.StopAt);
        if (continues && _programs[lane].TryNext(out var next))
            Issue(lane, next, LoadWindow.Now());
        else
            _idle.Push(lane);
    }

    private static OperationKind KindOf(NbdCommand command) => command switch
    {
        NbdCommand.Read => OperationKind.Read,
        NbdCommand.Flush => OperationKind.Flush,
        _ => OperationKind.Write,
    };

    private struct Lane
    {
        public BlockRequest Request;
        public long Started;
        public long TransactionStarted;
        public ulong Cookie;
        public bool Busy;
    }
}
