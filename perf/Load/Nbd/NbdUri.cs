using System.Net;
using System.Net.Sockets;

namespace ZeroFlow.Perf.Nbd;

/// <summary>
/// Where an export is: <c>nbd://host[:port]/export</c> or <c>nbd+unix:///export?socket=PATH</c>.
/// </summary>
internal sealed record NbdUri(string Host, int Port, string? SocketPath, string Export)
{
    private const int DefaultPort = 10809;

    /// <exception cref="FormatException">Not one of the two forms.</exception>
    public static NbdUri Parse(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri))
            throw new FormatException($"'{text}' is not a URI; expected nbd://host:port/export");

        var export = Uri.UnescapeDataString(uri.AbsolutePath.TrimStart('/'));
        switch (uri.Scheme)
        {
            case "nbd":
                return new NbdUri(uri.Host, uri.Port < 0 ? DefaultPort : uri.Port, null, export);
            case "nbd+unix":
                const string Key = "socket=";
                var query = uri.Query.TrimStart('?').Split('&').FirstOrDefault(part =>
                    part.StartsWith(Key, StringComparison.Ordinal));
                return query is null
                    ? throw new FormatException($"'{text}' names no socket; expected nbd+unix:///export?socket=PATH")
                    : new NbdUri("", 0, Uri.UnescapeDataString(query[Key.Length..]), export);
            default:
                throw new FormatException($"'{text}' is neither an nbd:// nor an nbd+unix:// URI");
        }
    }

    /// <summary>Where to connect, or to listen.</summary>
    public EndPoint EndPoint()
    {
        if (SocketPath is not null) return new UnixDomainSocketEndPoint(SocketPath);
        return IPAddress.TryParse(Host, out var address) ? new IPEndPoint(address, Port) : new DnsEndPoint(Host, Port);
    }

    /// <summary>A socket for that place, neither bound nor connected.</summary>
    public Socket NewSocket() => SocketPath is null
        ? new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true }
        : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public override string ToString() =>
        SocketPath is null ? $"nbd://{Host}:{Port}/{Export}" : $"nbd+unix:///{Export}?socket={SocketPath}";
}
