using System.Net;
using Microsoft.AspNetCore.Http;
using ZeroFlow.Host.Admin;
using ZeroFlow.Host.Control;

namespace ZeroFlow.Host.Live;

/// <summary>
/// Who may see the live view: the owner over the Unix socket, whoever has the token, and, unless the token is asked for from
/// everybody, whoever is on this machine, as for the metrics. What a browser sends on behalf of another site is refused.
/// </summary>
internal static class LiveAccess
{
    // Whatever a proxy says of itself: behind it there may be anybody.
    private static readonly string[] ProxyHeaders = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"];

    /// <summary>Null when the view may be shown, otherwise what is wrong.</summary>
    public static Problem? Check(HttpContext context, ControlApi control, bool needsToken)
    {
        if (IsFromAnotherSite(context.Request))
            return FaultStatuses.ProblemOf(StatusCodes.Status403Forbidden, "Another site may not look at this one.");
        if (AdminSocket.IsFromOwner(context) || control.HasToken(context)) return null;
        bool isGiven = context.Request.Headers.Authorization.Count > 0;
        if (!isGiven && !needsToken && IsLocal(context)) return null;
        context.Response.Headers.WWWAuthenticate = "Bearer";
        string detail = isGiven
            ? "That is not the token of this server."
            : $"A token is needed, as Authorization: Bearer: the content of {AdminToken.FileName} in the server's data directory, or of its --admin-token-file.";
        return FaultStatuses.ProblemOf(StatusCodes.Status401Unauthorized, detail);
    }

    // Browsers say where a request comes from; what says nothing is no browser, or asks for nothing that it could read.
    private static bool IsFromAnotherSite(HttpRequest request)
    {
        string site = request.Headers["Sec-Fetch-Site"].ToString();
        if (site.Length > 0 && site is not ("same-origin" or "none")) return true;
        string origin = request.Headers.Origin.ToString();
        return origin.Length > 0 && !origin.EndsWith($"://{request.Host.Value}", StringComparison.OrdinalIgnoreCase);
    }

    // A name of another site that was made to resolve to this machine (DNS rebinding) is not one of its own names.
    private static bool IsLocal(HttpContext context)
    {
        ConnectionInfo connection = context.Connection;
        return connection.RemoteIpAddress is { } remote && IPAddress.IsLoopback(remote)
            && connection.LocalIpAddress is { } local && IPAddress.IsLoopback(local)
            && IsLoopbackName(context.Request.Host.Host)
            && !ProxyHeaders.Any(context.Request.Headers.ContainsKey);
    }

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out IPAddress? address) && IPAddress.IsLoopback(address));
}
