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
    private readonly ArrivalSchedule? _arrivals;
    private readonly PayloadGuard? _guard;
    private readonly byte* _guarded;
    private readonly int _guardedStride;
    private long _writes;
    private int _inFlight;
    private int _payloadLane;
    private int _payloadLeft;

    /// <summary>
    /// A loop over a session that stays the caller's, as do the payloads. Without arrivals it is closed. A guard stamps
    /// and checks payloads; <c>firstPayload</c> lets connections begin at different places of the pool.
    /// </summary>
    public RequestLoop(
        NbdSession session, LaneProgram[] programs, PayloadPool payloads, LoadWindow window, ArrivalSchedule? arrivals,
        PayloadGuard? guard, int firstPayload)
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
        _guard = guard;
        _guardedStride = guard?.LengthMax ?? 0;
        _guarded = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, programs.Length * (long)_guardedStride), 4096);
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
        NativeMemory.AlignedFree(_guarded);
    }

    private void StartAll()
    {
        while (_idle.TryPop(out var lane))
        {
            if (!_programs[lane].TryNext(out var request)) return;
            Issue(lane, request, LoadWindow.Now());
        }
    }

    private void StartDue(ArrivalSchedule arrivals)
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
        var writes = request.Command == NbdCommand.Write;
        var payload = writes ? _payloads.At(_writes++, request.Length) : null;
        if (_guard is not null)
        {
            var own = Guarded(lane, writes ? request.Length : 0);
            if (writes) new ReadOnlySpan<byte>(payload, request.Length).CopyTo(own);
            _guard.Begin(lane, request, own);
            payload = _guarded + ((long)lane * _guardedStride);
        }

        _outgoing.Add(lane, request, state.Cookie, payload);
    }

    private Span<byte> Guarded(int lane, int length) => new(_guarded + ((long)lane * _guardedStride), length);

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
        if (_guard is not null)
        {
            var length = _lanes[_payloadLane].Request.Length;
            part.CopyTo(Guarded(_payloadLane, length)[(length - _payloadLeft)..]);
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
        _guard?.End(lane, request, Guarded(lane, request.Command == NbdCommand.Read ? request.Length : 0));
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
        NbdCommand.Trim => OperationKind.Trim,
        NbdCommand.WriteZeroes => OperationKind.Zeroes,
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
