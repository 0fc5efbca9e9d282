namespace ZeroFlow.Host.Serving;

/// <summary>Where a server is in its life.</summary>
internal enum ServerPhase
{
    /// <summary>Opening the store; clients cannot attach yet.</summary>
    Starting,

    /// <summary>Clients can attach.</summary>
    Ready,

    /// <summary>Asked to stop; finishing what was begun.</summary>
    Stopping,

    /// <summary>Stopping because of a fault that only a person or a new start can mend.</summary>
    Failed,
}

/// <summary>What the probes answer. Thread-safe.</summary>
/// <param name="told">Called with each phase that is entered, on the thread that enters it; must not throw.</param>
internal sealed class ServerState(Action<ServerState.Snapshot>? told = null)
{
    private volatile Snapshot _current = new(ServerPhase.Starting, "the server is starting");

    /// <summary>Phase and reason, read together.</summary>
    public Snapshot Current => _current;

    /// <summary>Raised after each phase was entered, by whoever entered it.</summary>
    public event Action? Changed;

    /// <summary>Enters a phase; <paramref name="reason"/> is shown to whoever asks the probes.</summary>
    public void Enter(ServerPhase phase, string reason)
    {
        var entered = new Snapshot(phase, reason);
        _current = entered;
        told?.Invoke(entered);
        Changed?.Invoke();
    }

    /// <summary>One reading.</summary>
    internal sealed record Snapshot(ServerPhase Phase, string Reason);
}
