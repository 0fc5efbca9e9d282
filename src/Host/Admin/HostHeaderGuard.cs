using System.Net;
using Microsoft.AspNetCore.Http;

namespace ZeroFlow.Host.Admin;

/// <summary>
/// Holds against DNS rebinding: a page in a browser that gives its own name the address of this machine can ask anything
/// of a port here, but the name stands in the Host header. Immutable.
/// </summary>
/// <remarks>
/// An address in the header is nobody's name, so it cannot be rebound; names must be known. Tools that do not send the
/// header at all are not browsers.
/// </remarks>
/// <param name="names">Names beside <c>localhost</c> and the machine's own by which the server is asked for.</param>
internal sealed class HostHeaderGuard(IEnumerable<string> names)
{
    private readonly HashSet<string> _names = new([.. names, "localhost", Dns.GetHostName()], StringComparer.OrdinalIgnoreCase);

    /// <summary>True when the request was meant for this server, as far as its Host header says.</summary>
    public bool Accepts(HttpContext context) => AdminSocket.IsFromOwner(context) || Accepts(context.Request.Host);

    /// <summary>True for an address, a known name, or nothing.</summary>
    public bool Accepts(HostString host)
    {
        if (!host.HasValue) return true;
        string name = host.Host.TrimEnd('.');
        return _names.Contains(name) || IPAddress.TryParse(name.Trim('[', ']'), out _);
    }
}
