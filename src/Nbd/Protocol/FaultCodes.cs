using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>The one place where failures of the engine become error codes of the protocol.</summary>
internal static class FaultCodes
{
    /// <summary>The code that a client gets for <paramref name="fault"/>.</summary>
    public static NbdError ToNbd(Exception fault) => fault switch
    {
        StorageFaultException { Kind: FaultKind.Unavailable } => NbdError.InputOutput,
        StorageFaultException { Kind: FaultKind.Fenced } => NbdError.InputOutput,
        StorageFaultException { Kind: FaultKind.Corrupt } => NbdError.InputOutput,
        StorageFaultException { Kind: FaultKind.Full } => NbdError.NoSpace,
        StorageFaultException { Kind: FaultKind.Invalid } => NbdError.Invalid,
        StorageFaultException { Kind: FaultKind.NotFound } => NbdError.Invalid,
        StorageFaultException { Kind: FaultKind.Conflict } => NbdError.Invalid,
        StorageFaultException { Kind: FaultKind.Denied } => NbdError.NotPermitted,
        StorageFaultException { Kind: FaultKind.Closing } => NbdError.Shutdown,

        // The range was checked against the export, which shrank in between.
        ArgumentOutOfRangeException => NbdError.Invalid,

        // Only an aborted connection cancels its operations, so this code rarely reaches anybody.
        OperationCanceledException => NbdError.Shutdown,
        _ => NbdError.InputOutput,
    };

    /// <summary>True when the failure is a bug of this program and not a condition that the engine reports.</summary>
    public static bool IsUnforeseen(Exception fault) =>
        fault is not (StorageFaultException or OperationCanceledException or ArgumentOutOfRangeException);
}
