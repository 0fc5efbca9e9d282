using ZeroFlow.Nbd.Tls;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>The files of a server that offers TLS, and the authority behind them. Deleted at the end.</summary>
internal sealed class TlsFolder : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string _path = Directory.CreateTempSubdirectory("zf-tls-").FullName;

    public TlsFolder()
    {
        Write(Authority.Issue("server", CertificateUse.Server));
        WriteClientAuthority(Authority.Certificate);
    }

    /// <summary>Issued the server's certificate, and is the one that clients need one of.</summary>
    public TestAuthority Authority { get; } = new("authority");

    public string CertificateFile => Path.Combine(_path, "server.pem");

    public string KeyFile => Path.Combine(_path, "server.key");

    public string ClientAuthorityFile => Path.Combine(_path, "clients.pem");

    public NbdServerOptions Options(bool isRequired, bool asksClients = false) => TestServer.DefaultOptions with
    {
        Tls = new TlsOptions
        {
            IsRequired = isRequired,
            CertificateFile = CertificateFile,
            KeyFile = KeyFile,
            ClientAuthorityFile = asksClients ? ClientAuthorityFile : null,
        },
    };

    public IssuedCertificate Client(string name = "client") => Authority.Issue(name, CertificateUse.Client);

    public void Write(IssuedCertificate server)
    {
        File.WriteAllText(CertificateFile, server.Certificate);
        WriteKey(server.Key);
    }

    public void WriteKey(string key, UnixFileMode mode = Private)
    {
        File.WriteAllText(KeyFile, key);
        File.SetUnixFileMode(KeyFile, mode);
    }

    public void WriteClientAuthority(string certificate) => File.WriteAllText(ClientAuthorityFile, certificate);

    public void Dispose()
    {
        Authority.Dispose();
        Directory.Delete(_path, recursive: true);
    }
}
