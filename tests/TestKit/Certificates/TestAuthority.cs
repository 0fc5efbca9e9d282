using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace ZeroFlow.TestKit.Certificates;

/// <summary>What an issued certificate may be used for.</summary>
public enum CertificateUse
{
    /// <summary>A server on the loopback addresses.</summary>
    Server,

    /// <summary>A client.</summary>
    Client,
}

/// <summary>A certificate, with those between it and its root behind it, and its key. Both PEM.</summary>
public sealed record IssuedCertificate(string Certificate, string Key);

/// <summary>A certificate authority for one test, made on the spot.</summary>
public sealed class TestAuthority : IDisposable
{
    private static readonly TimeSpan s_life = TimeSpan.FromDays(1);

    private readonly X509Certificate2 _own;
    private readonly string _chain;

    /// <summary>Makes a root.</summary>
    public TestAuthority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(name, key, isAuthority: true);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        _own = request.CreateSelfSigned(now - s_life, now + s_life);
        Certificate = _own.ExportCertificatePem();
        _chain = "";
    }

    private TestAuthority(X509Certificate2 own, string chain)
    {
        _own = own;
        Certificate = own.ExportCertificatePem();
        _chain = chain;
    }

    /// <summary>The authority's own certificate, PEM.</summary>
    public string Certificate { get; }

    /// <summary>An authority below this one. What it issues carries its certificate along.</summary>
    public TestAuthority Delegate(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 signed = Sign(Request(name, key, isAuthority: true), s_life / 2);
        return new TestAuthority(signed.CopyWithPrivateKey(key), $"{signed.ExportCertificatePem()}\n{_chain}");
    }

    /// <summary>A certificate of this authority.</summary>
    public IssuedCertificate Issue(string name, CertificateUse use, bool isExpired = false)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(name, key, isAuthority: false);
        string usage = use == CertificateUse.Server ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2";
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], critical: false));
        if (use == CertificateUse.Server)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName("localhost");
            names.AddIpAddress(IPAddress.Loopback);
            request.CertificateExtensions.Add(names.Build());
        }

        using X509Certificate2 signed = Sign(request, isExpired ? -(s_life / 4) : s_life / 3);
        return new IssuedCertificate($"{signed.ExportCertificatePem()}\n{_chain}", key.ExportPkcs8PrivateKeyPem());
    }

    /// <inheritdoc/>
    public void Dispose() => _own.Dispose();

    private static CertificateRequest Request(string name, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        X509KeyUsageFlags usage = isAuthority
            ? X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign
            : X509KeyUsageFlags.DigitalSignature;
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(usage, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request;
    }

    private X509Certificate2 Sign(CertificateRequest request, TimeSpan left)
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        return request.Create(_own, now - (s_life / 2), now + left, RandomNumberGenerator.GetBytes(12));
    }
}
