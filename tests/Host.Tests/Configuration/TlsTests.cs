using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class TlsTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly TestAuthority _authority = new("authority");
    private readonly SettingsSource _source = SettingsSource.Complete();

    public TlsTests()
    {
        IssuedCertificate server = _authority.Issue("server", CertificateUse.Server);
        _source.File("cert.pem", server.Certificate, Private);
        _source.File("key.pem", server.Key, Private);
        _source.File("ca.pem", _authority.Certificate, Private);
    }

    public void Dispose()
    {
        _source.Dispose();
        _authority.Dispose();
    }

    [Fact]
    public void Nothing_set_means_no_TLS() => Assert.Null(_source.Read().Tls);

    [Theory]
    [InlineData(null, true)]
    [InlineData("require", true)]
    [InlineData("Allow", false)]
    public void Files_are_full_paths_and_a_certificate_alone_means_that_TLS_is_required(string? mode, bool isRequired)
    {
        Complete(mode).Option("Tls:ClientCa", "ca.pem");
        Nbd.Tls.TlsOptions tls = _source.Read().Tls!;
        Assert.Equal(isRequired, tls.IsRequired);
        Assert.Equal(Path.Combine(_source.WorkingDirectory, "cert.pem"), tls.CertificateFile);
        Assert.Equal(Path.Combine(_source.WorkingDirectory, "key.pem"), tls.KeyFile);
        Assert.Equal(Path.Combine(_source.WorkingDirectory, "ca.pem"), tls.ClientAuthorityFile);
    }

    [Fact]
    public void All_layers_have_the_keys()
    {
        _source.Json("""{ "Tls": { "Certificate": "cert.pem", "Key": "nowhere" } }""")
            .Variable("ZEROFLOW__TLS__KEY", "key.pem");
        Assert.True(_source.Read().Tls!.IsRequired);
    }

    // Goal: what openssl writes, in its older forms too, is taken as it is.
    [Theory]
    [InlineData("rsa")]
    [InlineData("rsa older")]
    [InlineData("ec older")]
    public void Keys_of_all_usual_kinds_are_read(string kind)
    {
        using var rsa = RSA.Create(2048);
        using var ec = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        bool isRsa = kind.StartsWith("rsa", StringComparison.Ordinal);
        CertificateRequest request = isRsa
            ? new CertificateRequest("CN=x", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest("CN=x", ec, HashAlgorithmName.SHA384);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        _source.File("cert.pem", "subject=CN = x\n" + certificate.ExportCertificatePem(), Private);
        _source.File("key.pem", kind switch
        {
            "rsa" => rsa.ExportPkcs8PrivateKeyPem(),
            "rsa older" => rsa.ExportRSAPrivateKeyPem(),
            _ => "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + ec.ExportECPrivateKeyPem(),
        }, Private);
        Assert.NotNull(Complete(null).Read().Tls);
    }

    [Fact]
    public void An_encrypted_key_is_refused_and_the_reason_said()
    {
        using var ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var parameters = new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000);
        _source.File("key.pem", ec.ExportEncryptedPkcs8PrivateKeyPem("secret", parameters), Private);
        AssertOne(Complete(null), "and not encrypted");
    }

    [Fact]
    public void Off_leaves_the_files_unread() =>
        Assert.Null(_source.Option("Tls:Mode", "off").Option("Tls:Certificate", "nowhere").Read().Tls);

    [Fact]
    public void Another_mode_is_an_error() =>
        AssertOne(Complete("on"), "Tls:Mode is \"on\" (--option), but must be off, allow or require");

    [Theory]
    [InlineData("require")]
    [InlineData("allow")]
    public void TLS_needs_a_certificate_and_a_key(string mode)
    {
        IReadOnlyList<string> errors = _source.Option("Tls:Mode", mode).ReadErrors();
        Assert.Equal(2, errors.Count);
        Assert.Contains("--tls-certificate", errors[0], StringComparison.Ordinal);
        Assert.Contains("--tls-key", errors[1], StringComparison.Ordinal);
    }

    // Goal: somebody who asks for client certificates and forgets the rest is not served without any.
    [Fact]
    public void A_client_authority_alone_is_an_error() =>
        Assert.Equal(2, _source.Option("Tls:ClientCa", "ca.pem").ReadErrors().Count);

    [Theory]
    [InlineData("Tls:Certificate", "nowhere", "nowhere does not exist")]
    [InlineData("Tls:Certificate", "key.pem", "key.pem has no certificate in PEM")]
    [InlineData("Tls:Certificate", "", "must be a PEM file")]
    [InlineData("Tls:Key", "nowhere", "nowhere does not exist")]
    [InlineData("Tls:Key", "cert.pem", "cert.pem does not have the private key of the certificate")]
    [InlineData("Tls:Key", "other.pem", "other.pem does not have the private key of the certificate")]
    [InlineData("Tls:Key", "", "must be a PEM file")]
    [InlineData("Tls:ClientCa", "nowhere", "nowhere does not exist")]
    [InlineData("Tls:ClientCa", "cert.pem", "cert.pem has no root certificate")]
    public void A_file_that_does_not_serve_is_an_error_of_its_key(string key, string file, string reason)
    {
        _source.File("other.pem", _authority.Issue("other", CertificateUse.Server).Key, Private);
        (string Key, string File)[] settings =
            [("Tls:Certificate", "cert.pem"), ("Tls:Key", "key.pem"), ("Tls:ClientCa", "ca.pem")];
        foreach ((string name, string good) in settings) _source.Option(name, name == key ? file : good);
        string error = Assert.Single(_source.ReadErrors());
        Assert.StartsWith($"{key} (--option): ", error, StringComparison.Ordinal);
        Assert.Contains(reason, error, StringComparison.Ordinal);
        Assert.DoesNotContain("PRIVATE KEY", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_key_that_others_can_read_or_write_is_refused(UnixFileMode extra)
    {
        string path = Path.Combine(_source.WorkingDirectory, "key.pem");
        File.SetUnixFileMode(path, Private | extra);
        AssertOne(Complete(null), $"chmod 600 {path}");
    }

    private SettingsSource Complete(string? mode)
    {
        if (mode is not null) _source.Option("Tls:Mode", mode);
        return _source.Option("Tls:Certificate", "cert.pem").Option("Tls:Key", "key.pem");
    }

    private static void AssertOne(SettingsSource source, string part) =>
        Assert.Contains(part, Assert.Single(source.ReadErrors()), StringComparison.Ordinal);
}
