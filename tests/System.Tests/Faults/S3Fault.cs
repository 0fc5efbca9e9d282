namespace ZeroFlow.SystemTests.Faults;

/// <summary>What the proxy does to one request.</summary>
public enum S3Fault
{
    /// <summary>Passes it on.</summary>
    None,

    /// <summary>Answers 500 without passing it on.</summary>
    InternalError,

    /// <summary>Answers 503 SlowDown without passing it on.</summary>
    SlowDown,

    /// <summary>Answers 403 without passing it on.</summary>
    Denied,

    /// <summary>Passes it on, and cuts the connection before the answer.</summary>
    ReplyLost,

    /// <summary>Passes it on, and cuts the answer's body short.</summary>
    ShortBody,

    /// <summary>Cuts the connection without passing it on.</summary>
    Refused,

    /// <summary>Passes half of it on, and resets both connections.</summary>
    RequestCut,

    /// <summary>
    /// Resets the connection at once, and passes it on seconds later: it takes effect when its sender has long tried
    /// again, or is dead.
    /// </summary>
    Late,

    /// <summary>Passes it on, answers with half of the answer, and says nothing more.</summary>
    Stalled,

    /// <summary>Neither passes it on nor ever answers.</summary>
    Silent,
}

/// <summary>Chooses faults at random, by seed: each kind for so many of a thousand requests. Thread-safe.</summary>
internal sealed class FaultMix(int seed, params (S3Fault Fault, int Permille)[] rates)
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);

    public S3Fault Choose(HttpMessage request)
    {
        int dice;
        lock (_lock) dice = _random.Next(1000);
        foreach (var (fault, permille) in rates)
        {
            dice -= permille;
            if (dice >= 0) continue;
            return fault is S3Fault.ShortBody or S3Fault.Stalled && request.Method != "GET" ? S3Fault.None : fault;
        }

        return S3Fault.None;
    }
}
