using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace ZeroFlow.Host.Configuration;

/// <summary>Reads HOST:PORT.</summary>
internal static class ListenAddress
{
    /// <summary>What an address may look like, for messages.</summary>
    public const string Form =
        "HOST:PORT, where HOST is an IP address ([::1] for IPv6) or localhost, and PORT is 0 to 65535"
        + " (0 picks a free one)";

    /// <summary>
    /// Reads <see cref="Form"/>. Other host names are refused: which of their addresses to listen on would be a guess.
    /// </summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out IPEndPoint? endpoint)
    {
        endpoint = null;
        int colon = text.LastIndexOf(':');
        if (colon < 0) return false;
        ReadOnlySpan<char> port = text.AsSpan(colon + 1);
        if (!ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out ushort number)) return false;
        if (!TryParseHost(text[..colon], out IPAddress? address)) return false;
        endpoint = new IPEndPoint(address, number);
        return true;
    }

    private static bool TryParseHost(string host, [NotNullWhen(true)] out IPAddress? address)
    {
        address = null;
        if (host.Equals("localhost", StringComparison.OrdinalIgnoreCase))
        {
            address = IPAddress.Loopback;
            return true;
        }

        bool bracketed = host.Length > 2 && host[0] == '[' && host[^1] == ']';
        string literal = bracketed ? host[1..^1] : host;
        if (!IPAddress.TryParse(literal, out IPAddress? parsed)) return false;

        // "1" and "0x7f.1" are addresses to the parser, and surely typing errors here.
        bool isIPv6 = parsed.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6;
        if (isIPv6 != bracketed || (!isIPv6 && parsed.ToString() != literal)) return false;
        address = parsed;
        return true;
    }
}
