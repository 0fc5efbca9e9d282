using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host;

/// <summary>What the process ends with. Scripts and service managers rely on the values.</summary>
internal static class ExitCodes
{
    /// <summary>Done, or stopped as asked.</summary>
    public const int Success = 0;

    /// <summary>Could not start: passphrase, bucket, port, disk.</summary>
    public const int StartFailed = 1;

    /// <summary>The command line or the configuration is wrong. Restarting does not help.</summary>
    public const int Usage = 2;

    /// <summary>Another server took the store over. Restarting would take it back.</summary>
    public const int Fenced = 3;

    /// <summary>
    /// The local log or the store failed while serving. What was acknowledged is recovered at the next start.
    /// </summary>
    public const int StorageFailed = 4;

    /// <summary>What is asked for is not there.</summary>
    public const int NotFound = 5;

    /// <summary>Not in the present state: the name is taken, or clients are attached.</summary>
    public const int Conflict = 6;

    /// <summary>The server does not accept the token.</summary>
    public const int NotAllowed = 7;

    /// <summary>A scrub was done and found something wrong.</summary>
    public const int DamageFound = 8;

    /// <summary>The code for a start that ended with <paramref name="fault"/>.</summary>
    public static int ForStart(Exception fault) => IsFenced(fault) ? Fenced : StartFailed;

    /// <summary>The code for a server that <paramref name="fault"/> ended.</summary>
    public static int ForRunning(Exception fault) => IsFenced(fault) ? Fenced : StorageFailed;

    private static bool IsFenced(Exception fault) => fault is StorageFaultException { Kind: FaultKind.Fenced };
}
