using ZeroFlow.SystemTests.Running;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.SystemTests.Interop;

/// <summary>Certificates of one authority, laid out as libnbd and QEMU want them, and the server's options for them.</summary>
internal sealed class TlsFiles : IDisposable
{
    private readonly TestFolder _folder;
    private readonly TestAuthority _authority = new("ZeroFlow interop");

    public TlsFiles(TestFolder folder)
    {
        _folder = folder;
        Client = Lay("client", _authority.Issue("a client", CertificateUse.Client));
        using var other = new TestAuthority("somebody else");
        Stranger = Lay("stranger", other.Issue("a stranger", CertificateUse.Client));
        WithoutCertificate = Lay("without", null);
        WriteServer("a server");
    }

    /// <summary>A folder with everything that a client needs to be let in.</summary>
    public string Client { get; }

    /// <summary>A folder with a certificate of another authority.</summary>
    public string Stranger { get; }

    /// <summary>A folder with no certificate for a client.</summary>
    public string WithoutCertificate { get; }

    public IReadOnlyList<string> Options(string mode) =>
    [
        "--tls", mode, "--tls-certificate", _folder["server-cert.pem"], "--tls-key", _folder["server-key.pem"],
        "--tls-client-ca", Path.Combine(Client, "ca-cert.pem"),
    ];

    /// <summary>Gives the server a certificate; a running one notices.</summary>
    public void WriteServer(string name) =>
        Write(_folder.Path, "server", _authority.Issue(name, CertificateUse.Server));

    public void Dispose() => _authority.Dispose();

    private string Lay(string name, IssuedCertificate? certificate)
    {
        var path = _folder.Make(name);
        File.WriteAllText(Path.Combine(path, "ca-cert.pem"), _authority.Certificate);
        if (certificate is not null) Write(path, "client", certificate);
        return path;
    }

    private static void Write(string folder, string kind, IssuedCertificate certificate)
    {
        File.WriteAllText(Path.Combine(folder, $"{kind}-cert.pem"), certificate.Certificate);
        var key = Path.Combine(folder, $"{kind}-key.pem");
        File.WriteAllText(key, certificate.Key);
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}
