using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>Where a server's admin endpoint is: a TCP address or a Unix socket.</summary>
/// <param name="Text">As it was written, for messages.</param>
/// <param name="Url">What requests begin with.</param>
/// <param name="SocketPath">The Unix socket; null for TCP.</param>
internal sealed record AdminAddress(string Text, Uri Url, string? SocketPath)
{
    /// <summary>What an address may look like, for messages.</summary>
    public const string Form = "HOST:PORT, a URL, or unix:PATH";

    private const string Unix = "unix:";

    /// <summary>Reads <see cref="Form"/>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out AdminAddress? address)
    {
        address = null;
        if (text.StartsWith(Unix, StringComparison.Ordinal))
        {
            // The name is for the header alone.
            if (text.Length > Unix.Length) address = new AdminAddress(text, new Uri("http://localhost"), text[Unix.Length..]);
            return address is not null;
        }

        string url = text.Contains("://", StringComparison.Ordinal) ? text : $"http://{text}";
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? parsed) || parsed.Scheme is not ("http" or "https")) return false;
        address = new AdminAddress(url, parsed, null);
        return true;
    }
}
