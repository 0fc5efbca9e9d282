using System.Net;
using Microsoft.AspNetCore.Http;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Admin;

/// <summary>
/// Who may see what of the admin endpoint without changing anything: on a loopback address whoever reaches it; on any
/// other address whoever has the admin token or the one for metrics. Thread-safe.
/// </summary>
/// <param name="address">What is listened on; null for the Unix socket alone.</param>
/// <param name="hosts">Names by which the server may be asked for, beside its own.</param>
/// <param name="metricsToken">A second token that lets one read, and nothing else.</param>
internal sealed class AdminGuard(IPEndPoint? address, IEnumerable<string> hosts, AdminToken? metricsToken)
{
    private const string Bearer = "Bearer ";

    private readonly HostHeaderGuard _hosts = new(hosts);

    /// <summary>False for a request that a name of somebody else's led here.</summary>
    public bool IsMeantForUs(HttpContext context) => _hosts.Accepts(context);

    /// <summary>True when the one who asks may read metrics and reasons.</summary>
    public bool MayRead(HttpContext context, ControlApi control) =>
        address is null || IPAddress.IsLoopback(address.Address) || AdminSocket.IsFromOwner(context)
        || control.HasToken(context) || (metricsToken is { } token && Carries(context, token));

    /// <summary>True when the request carries the token, compared in a time that says nothing about it.</summary>
    public static bool Carries(HttpContext context, AdminToken token)
    {
        string given = context.Request.Headers.Authorization.ToString();
        return given.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) && token.Matches(given[Bearer.Length..].Trim());
    }
}
