using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Host.Serving;

/// <summary>
/// Tells failures of the surroundings, which a sentence explains, from bugs, which need a stack trace.
/// </summary>
internal static class StartFaults
{
    /// <summary>One sentence for a failure that a person can mend; false for anything else.</summary>
    public static bool TryDescribe(Exception fault, [NotNullWhen(true)] out string? sentence)
    {
        sentence = fault switch
        {
            StorageFaultException or ObjectStoreException or AddressInUseException => fault.Message,
            IOException or UnauthorizedAccessException or SocketException => fault.Message,
            _ => null,
        };
        sentence = sentence?.ReplaceLineEndings(" ");
        return sentence is not null;
    }
}
