using System.Net;

namespace ZeroFlow.Nbd.Access;

/// <summary>
/// Lets some clients have an export, and its snapshots with it. Immutable. Several rules for one export let in whoever one
/// of them lets in; an export that no rule is about is everybody's.
/// </summary>
public sealed record AccessRule
{
    /// <summary>Stands for every export that no other rule names.</summary>
    public const string AnyExport = "*";

    /// <summary>Name of the export, or <see cref="AnyExport"/>.</summary>
    public required string Export { get; init; }

    /// <summary>Addresses that the client must come from; null for any way to come.</summary>
    /// <remarks>
    /// An address proves nothing where others can reach the same network: without TLS this keeps out mistakes, not
    /// attackers.
    /// </remarks>
    public IPNetwork? Network { get; init; }

    /// <summary>The client must come over the Unix socket.</summary>
    public bool NeedsUnixSocket { get; init; }

    /// <summary>
    /// A name that the client's certificate must have, as its common name or as a DNS name; null for none. Only with
    /// <see cref="Tls.TlsOptions.ClientAuthorityFile"/> are clients asked for certificates.
    /// </summary>
    public string? CertificateName { get; init; }

    /// <summary>Who is let in by this rule only cannot write.</summary>
    public bool IsReadOnly { get; init; }
}
