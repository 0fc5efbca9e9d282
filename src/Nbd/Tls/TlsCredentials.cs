using System.Diagnostics.CodeAnalysis;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using ZeroFlow.Nbd.Telemetry;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tls;

/// <summary>
/// What the server shows its clients and asks of them, as the files say that are there now. Thread-safe.
/// </summary>
/// <remarks>
/// A handshake that comes a while after the last look at the files looks at them again. It compares what they hold:
/// files are replaced by renaming, by symbolic links above them, and in place, and times tell those apart badly. New
/// files that do not work, such as a certificate whose key is still to come, leave in place what did work.
/// </remarks>
internal sealed class TlsCredentials
{
    /// <summary>A file that changed is noticed by the first handshake this long after the last look.</summary>
    public static readonly TimeSpan LookPause = TimeSpan.FromSeconds(2);

    private readonly TlsOptions _options;
    private readonly TimeProvider _time;
    private readonly ConnectionLog _log;
    private readonly Lock _lock = new();
    private volatile Identity _current;
    private string _seen;
    private long _lookedAt;

    /// <summary>Reads the files for the first time.</summary>
    /// <exception cref="StorageFaultException">They do not work; the message says which and why.</exception>
    public TlsCredentials(TlsOptions options, TimeProvider time, ConnectionLog log)
    {
        _options = options;
        _time = time;
        _log = log;
        _lookedAt = time.GetTimestamp();
        try
        {
            Texts texts = Read();
            _current = Parse(texts);
            _seen = texts.Digest();
        }
        catch (IOException fault)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, $"The NBD server cannot offer TLS: {fault.Message}", fault);
        }
    }

    /// <summary>Nothing is served to a client without TLS.</summary>
    public bool IsRequired => _options.IsRequired;

    /// <summary>When the certificate that clients are shown now ends.</summary>
    public DateTimeOffset Expiry => _current.Certificate.TargetCertificate.NotAfter;

    /// <summary>The terms of one handshake.</summary>
    [SuppressMessage(
        "Security", "CA5398:Avoid hardcoded SslProtocols values", Justification = "The protocol wants at least 1.2.")]
    public SslServerAuthenticationOptions ForHandshake()
    {
        LookAgain();
        Identity current = _current;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = current.Certificate,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ClientCertificateRequired = current.ClientAuthorities is not null,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            CertificateChainPolicy = current.ClientAuthorities is { } authorities ? PolicyFor(authorities) : null,
            AllowRenegotiation = false,

            // A session that is resumed brings its old certificate along, whatever authorities are trusted by then; and
            // connections live long.
            AllowTlsResume = false,
        };
    }

    // That a certificate is made for clients is the engine's own condition.
    private static X509ChainPolicy PolicyFor(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,

            // A certificate may name an address to fetch its issuer from. A stranger must not make the server call it.
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    private void LookAgain()
    {
        // A handshake that comes while another one looks takes what there is.
        if (!_lock.TryEnter()) return;
        try
        {
            long now = _time.GetTimestamp();
            if (_time.GetElapsedTime(_lookedAt, now) < LookPause) return;
            _lookedAt = now;
            Reload();
        }
        finally
        {
            _lock.Exit();
        }
    }

    // Whatever is wrong is said once: what was seen is remembered, be it good, bad or not there.
    private void Reload()
    {
        string before = _seen;
        try
        {
            Texts texts = Read();
            _seen = texts.Digest();
            if (_seen == before) return;
            Identity identity = Parse(texts);
            _current = identity;
            X509Certificate2 certificate = identity.Certificate.TargetCertificate;
            _log.CertificateChanged(_options.CertificateFile, certificate.Subject, certificate.NotAfter.ToUniversalTime());
        }
        catch (IOException fault)
        {
            if (_seen == before) _seen = fault.Message;
            if (_seen != before) _log.CertificateKept(fault.Message);
        }
    }

    private Texts Read() => new(
        TlsFiles.ReadText(_options.CertificateFile),
        TlsFiles.ReadKeyText(_options.KeyFile),
        _options.ClientAuthorityFile is { } path ? TlsFiles.ReadText(path) : null);

    private Identity Parse(Texts texts)
    {
        X509Certificate2Collection chain = TlsFiles.ParseCertificates(texts.Certificate, _options.CertificateFile);
        X509Certificate2 own = TlsFiles.ParseIdentity(texts.Certificate, texts.Key, _options.KeyFile);
        chain.RemoveAt(0);
        return new Identity(
            ContextFor(own, chain),
            texts.ClientAuthority is { } text ? TlsFiles.ParseAuthorities(text, _options.ClientAuthorityFile!) : null);
    }

    private SslStreamCertificateContext ContextFor(X509Certificate2 own, X509Certificate2Collection chain)
    {
        try
        {
            return SslStreamCertificateContext.Create(own, chain, offline: true);
        }
        catch (Exception fault) when (fault is CryptographicException or NotSupportedException)
        {
            throw new IOException(
                $"The certificate in {_options.CertificateFile} cannot be used for TLS: {fault.Message}", fault);
        }
    }

    private sealed record Identity(
        SslStreamCertificateContext Certificate, X509Certificate2Collection? ClientAuthorities);

    private readonly record struct Texts(string Certificate, string Key, string? ClientAuthority)
    {
        public string Digest() => Convert.ToHexString(
            SHA256.HashData(Encoding.UTF8.GetBytes($"{Certificate}\0{Key}\0{ClientAuthority}")));
    }
}
