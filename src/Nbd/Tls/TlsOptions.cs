namespace ZeroFlow.Nbd.Tls;

/// <summary>
/// How a server that offers TLS proves who it is, and what it asks of its clients. Immutable. All files are PEM, and read
/// again when they change.
/// </summary>
public sealed record TlsOptions
{
    /// <summary>
    /// True lets nobody do anything before TLS ("FORCEDTLS" in doc/proto.md); false leaves it to the client
    /// ("SELECTIVETLS").
    /// </summary>
    /// <remarks>
    /// Where it is false, somebody in the middle can talk a client out of TLS, and a client without TLS is asked for no
    /// certificate: it is meant for the time in which clients are moved to TLS.
    /// </remarks>
    public required bool IsRequired { get; init; }

    /// <summary>The certificate of the server, and behind it those that lead to its root.</summary>
    public required string CertificateFile { get; init; }

    /// <summary>The private key of the certificate, not encrypted, and to be read by its owner only.</summary>
    public required string KeyFile { get; init; }

    /// <summary>
    /// The authorities of which a client needs a certificate; null for a server that asks for none.
    /// </summary>
    public string? ClientAuthorityFile { get; init; }
}
