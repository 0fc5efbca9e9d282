using System.Security.Authentication;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Nbd.Tests.Tls;

public sealed class CertificateReloadTests
{
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(3);

    [Fact]
    public async Task A_new_certificate_is_shown_to_the_next_client_after_a_while_and_older_ones_go_on()
    {
        var time = new SteppedTime();
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true), time);
        using RawClient old = StartTlsTests.Attach(server, folder);
        folder.Write(folder.Authority.Issue("renewed", CertificateUse.Server));
        Assert.Equal("CN=server", SubjectOf(server, folder));

        time.Advance(s_pause);
        Assert.Equal("CN=renewed", SubjectOf(server, folder));
        Assert.Equal(NbdError.None, old.Call(NbdCommand.Write, 0, 100_000, 0, new byte[100_000]));
        Assert.Empty(server.Errors.Warnings);
    }

    // Goal: whoever replaces two files, one after the other, causes no outage; whoever breaks them is told once.
    [Fact]
    public async Task New_files_that_do_not_work_are_told_once_and_change_nothing()
    {
        var time = new SteppedTime();
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true), time);
        IssuedCertificate good = folder.Authority.Issue("good", CertificateUse.Server);
        (Action Break, string Reason)[] steps =
        [
            (() => File.WriteAllText(folder.CertificateFile, "nothing"), "has no certificate"),
            (() => File.WriteAllText(folder.CertificateFile, good.Certificate), "does not have the private key"),
            (() => File.WriteAllText(
                folder.CertificateFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), "cannot be read"),
            (() => File.Delete(folder.KeyFile), "does not exist"),
            (() => folder.WriteKey(good.Key, UnixFileMode.UserRead | UnixFileMode.GroupRead), "chmod 600"),
        ];
        foreach ((Action breakFiles, string reason) in steps)
        {
            breakFiles();
            for (int i = 0; i < 3; i++)
            {
                time.Advance(s_pause);
                Assert.Equal("CN=server", SubjectOf(server, folder));
            }

            Assert.Contains(reason, Assert.Single(server.Errors.Warnings), StringComparison.Ordinal);
            server.Errors.Warnings.Clear();
        }

        folder.Write(good);
        time.Advance(s_pause);
        Assert.Equal("CN=good", SubjectOf(server, folder));
        Assert.Empty(server.Errors.Warnings);
        Assert.Empty(server.Errors.Lines);
    }

    [Fact]
    public async Task Another_client_authority_counts_from_then_on()
    {
        var time = new SteppedTime();
        using var folder = new TlsFolder();
        using var other = new TestAuthority("other");
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true, asksClients: true), time);
        IssuedCertificate mine = folder.Client();
        IssuedCertificate others = other.Issue("other client", CertificateUse.Client);
        Assert.False(ClientCertificateTests.IsRefused(server, folder, mine, SslProtocols.None));
        Assert.True(ClientCertificateTests.IsRefused(server, folder, others, SslProtocols.None));

        folder.WriteClientAuthority(other.Certificate);
        time.Advance(s_pause);
        Assert.True(ClientCertificateTests.IsRefused(server, folder, mine, SslProtocols.None));
        Assert.False(ClientCertificateTests.IsRefused(server, folder, others, SslProtocols.None));

        folder.WriteClientAuthority(other.Certificate + "\n" + folder.Authority.Certificate);
        time.Advance(s_pause);
        Assert.False(ClientCertificateTests.IsRefused(server, folder, mine, SslProtocols.None));
        Assert.False(ClientCertificateTests.IsRefused(server, folder, others, SslProtocols.None));
    }

    [Fact]
    public async Task A_server_does_not_start_with_files_that_do_not_work()
    {
        using var folder = new TlsFolder();
        using TestAuthority between = folder.Authority.Delegate("between");
        NbdServerOptions options = folder.Options(isRequired: true, asksClients: true);
        (Action Break, string File)[] steps =
        [
            (() => folder.WriteClientAuthority(between.Certificate), folder.ClientAuthorityFile),
            (() => folder.WriteKey(folder.Client().Key), folder.KeyFile),
            (() => folder.WriteKey("x", UnixFileMode.UserRead | UnixFileMode.OtherRead), folder.KeyFile),
            (() => File.WriteAllBytes(folder.CertificateFile, new byte[2_000_000]), folder.CertificateFile),
            (() => File.Delete(folder.CertificateFile), folder.CertificateFile),
        ];
        foreach ((Action breakFiles, string file) in steps)
        {
            breakFiles();
            StorageFaultException fault =
                await Assert.ThrowsAsync<StorageFaultException>(() => TestServer.StartAsync(options));
            Assert.Equal(FaultKind.Invalid, fault.Kind);
            Assert.Contains(file, fault.Message, StringComparison.Ordinal);
        }
    }

    private static string? SubjectOf(TestServer server, TlsFolder folder)
    {
        using RawClient client = server.Connect().Greet().StartTls(folder.Authority);
        Assert.Equal(2, client.Ask(NbdOption.List).Count);
        return client.ServerSubject;
    }
}
