using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Control;

/// <summary>The one place where failures of the engine become HTTP statuses.</summary>
internal static class FaultStatuses
{
    /// <summary>The status that a client gets for a fault of <paramref name="kind"/>.</summary>
    public static int StatusOf(FaultKind kind) => kind switch
    {
        FaultKind.Invalid => StatusCodes.Status400BadRequest,
        FaultKind.Denied => StatusCodes.Status403Forbidden,
        FaultKind.NotFound => StatusCodes.Status404NotFound,
        FaultKind.Conflict => StatusCodes.Status409Conflict,
        FaultKind.Full => StatusCodes.Status507InsufficientStorage,

        // Another server has the store: this one cannot, and whoever asks again may be led to the one that can.
        FaultKind.Fenced => StatusCodes.Status503ServiceUnavailable,
        FaultKind.Unavailable or FaultKind.Closing => StatusCodes.Status503ServiceUnavailable,
        FaultKind.Corrupt => StatusCodes.Status500InternalServerError,
        _ => StatusCodes.Status500InternalServerError,
    };

    /// <summary>What a client is told of a failure of the engine.</summary>
    public static Problem ProblemOf(StorageFaultException fault) =>
        ProblemOf(StatusOf(fault.Kind), fault.Message) with { Fault = fault.Kind };

    /// <summary>What a client is told of a request that cannot be answered otherwise.</summary>
    public static Problem ProblemOf(int status, string detail) =>
        new("about:blank", ReasonPhrases.GetReasonPhrase(status), status, detail);
}
