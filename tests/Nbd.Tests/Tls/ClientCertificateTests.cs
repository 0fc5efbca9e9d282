using System.Net.Sockets;
using System.Security.Authentication;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Nbd.Tests.Tls;

public sealed class ClientCertificateTests
{
    public static TheoryData<SslProtocols> Versions => [SslProtocols.Tls12, SslProtocols.Tls13];

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_certificate_of_the_authority_lets_a_client_in(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await using TestServer server =
            await TestServer.StartAsync(folder.Options(isRequired: true, asksClients: true));
        using RawClient client = StartTlsTests.Attach(server, folder, folder.Client(), version);
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
        NbdClient known = Assert.Single(server.Server.Clients());
        Assert.Contains("with a certificate for client", known.Peer, StringComparison.Ordinal);
        Assert.True(known.IsSecured);
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task No_certificate_is_refused(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await IsRefusedAsync(folder, null, version);
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_certificate_of_another_authority_is_refused_also_when_that_has_the_same_name(SslProtocols version)
    {
        using var folder = new TlsFolder();
        using var other = new TestAuthority("authority");
        await IsRefusedAsync(folder, other.Issue("client", CertificateUse.Client), version);
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_certificate_that_has_expired_is_refused(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await IsRefusedAsync(folder, folder.Authority.Issue("late", CertificateUse.Client, isExpired: true), version);
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task A_certificate_for_servers_only_is_refused(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await IsRefusedAsync(folder, folder.Authority.Issue("server", CertificateUse.Server), version);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_does_not_ask_lets_in_whoever_starts_TLS(bool isRequired)
    {
        using var folder = new TlsFolder();
        using var other = new TestAuthority("other");
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired));
        using RawClient without = StartTlsTests.Attach(server, folder);
        using RawClient with = StartTlsTests.Attach(server, folder, other.Issue("client", CertificateUse.Client));
    }

    [Fact]
    public async Task A_server_with_TLS_allowed_does_not_ask_clients_without_it()
    {
        using var folder = new TlsFolder();
        await using TestServer server =
            await TestServer.StartAsync(folder.Options(isRequired: false, asksClients: true));
        using RawClient plain = server.Attach();
        Assert.True(IsRefused(server, folder, null, SslProtocols.None));
    }

    /// <summary>True when the client gets no answer through TLS. With 1.3 it may not notice before it reads.</summary>
    internal static bool IsRefused(
        TestServer server, TlsFolder folder, IssuedCertificate? own, SslProtocols version)
    {
        try
        {
            using RawClient client = server.Connect().Greet().StartTls(folder.Authority, own, version);
            client.Ask(NbdOption.List);
            return false;
        }
        catch (Exception fault) when (fault is AuthenticationException or IOException or SocketException)
        {
            return true;
        }
    }

    private static async Task IsRefusedAsync(TlsFolder folder, IssuedCertificate? own, SslProtocols version)
    {
        await using TestServer server =
            await TestServer.StartAsync(folder.Options(isRequired: true, asksClients: true));
        Assert.True(IsRefused(server, folder, own, version));
        await server.UntilConnectionsAreAsync(0);
        Assert.Contains("TLS failed", Assert.Single(server.Errors.Warnings), StringComparison.Ordinal);
        Assert.Empty(server.Errors.Lines);
        Assert.Equal(0, server.Pool.RentedBytes);
        using RawClient welcome = StartTlsTests.Attach(server, folder, folder.Client(), version);
    }
}
