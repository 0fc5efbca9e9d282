using System.Net;
using System.Security.Cryptography.X509Certificates;

namespace ZeroFlow.Nbd.Access;

/// <summary>Who a client is, as far as its connection tells. Immutable.</summary>
/// <param name="Address">Where it comes from; null over a Unix socket.</param>
/// <param name="CertificateNames">The names in the certificate that it proved to have; none without one.</param>
internal sealed record ClientIdentity(IPAddress? Address, IReadOnlyList<string> CertificateNames)
{
    private const string CommonName = "2.5.4.3";

    /// <summary>The client at the other end of a connection without TLS.</summary>
    public static ClientIdentity At(EndPoint? remote)
    {
        IPAddress? address = (remote as IPEndPoint)?.Address;
        return new ClientIdentity(address is { IsIPv4MappedToIPv6: true } ? address.MapToIPv4() : address, []);
    }

    /// <summary>The names in a certificate, which was verified before: its common names and its DNS names.</summary>
    public static IReadOnlyList<string> NamesIn(X509Certificate2 certificate)
    {
        List<string> names = [];
        foreach (X500RelativeDistinguishedName part in certificate.SubjectName.EnumerateRelativeDistinguishedNames())
        {
            if (!part.HasMultipleElements && part.GetSingleElementType().Value == CommonName
                && part.GetSingleElementValue() is { } name)
            {
                names.Add(name);
            }
        }

        foreach (X509Extension extension in certificate.Extensions)
        {
            if (extension is X509SubjectAlternativeNameExtension alternatives)
                names.AddRange(alternatives.EnumerateDnsNames());
        }

        return names;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        string from = Address?.ToString() ?? "the Unix socket";
        return CertificateNames.Count == 0 ? from : $"{from} with a certificate for {string.Join(", ", CertificateNames)}";
    }
}
