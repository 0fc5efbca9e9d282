using System.Net;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Nbd.Access;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Host.Tests.Configuration;

public sealed class AccessTests
{
    [Fact]
    public void Nothing_set_means_no_rules() => Assert.Empty(SettingsSource.Complete().Read().Access);

    [Theory]
    [InlineData("pg=10.0.0.0/8", "pg", "10.0.0.0/8", false, null, false)]
    [InlineData("pg=192.168.1.5", "pg", "192.168.1.5/32", false, null, false)]
    [InlineData("pg=fd00::/8:read-only", "pg", "fd00::/8", false, null, true)]
    [InlineData("pg=::1", "pg", "::1/128", false, null, false)]
    [InlineData("*=unix", "*", null, true, null, false)]
    [InlineData("*=any:read-only", "*", null, false, null, true)]
    [InlineData("pg=cert:db1.example", "pg", null, false, "db1.example", false)]
    [InlineData("p=g=cert:a", "p=g", null, false, "a", false)]
    [InlineData("pg=10.0.0.0/8+cert:db1:read-only", "pg", "10.0.0.0/8", false, "db1", true)]
    [InlineData("pg=cert:db1+unix", "pg", null, true, "db1", false)]
    public void A_rule_says_which_export_and_who(
        string text, string export, string? network, bool needsUnix, string? certificate, bool isReadOnly)
    {
        Assert.True(AccessSource.TryParse(text, out AccessRule? rule));
        Assert.Equal(
            new AccessRule
            {
                Export = export,
                Network = network is null ? null : IPNetwork.Parse(network),
                NeedsUnixSocket = needsUnix,
                CertificateName = certificate,
                IsReadOnly = isReadOnly,
            },
            rule);
    }

    // A typing error must not let somebody in, or keep somebody out.
    [Theory]
    [InlineData("")]
    [InlineData("pg")]
    [InlineData("pg=")]
    [InlineData("=10.0.0.0/8")]
    [InlineData("pg@s=10.0.0.0/8")]
    [InlineData("pg=10.1")]
    [InlineData("pg=10.0.0.1/8")]
    [InlineData("pg=10.0.0.0/33")]
    [InlineData("pg=10.0.0.0/")]
    [InlineData("pg=host")]
    [InlineData("pg=cert:")]
    [InlineData("pg=10.0.0.0/8+11.0.0.0/8")]
    [InlineData("pg=unix+10.0.0.0/8")]
    [InlineData("pg=cert:a+cert:b")]
    [InlineData("pg=10.0.0.0/8:readonly")]
    [InlineData("pg=10.0.0.0/8+")]
    public void What_is_no_rule_is_refused(string text) => Assert.False(AccessSource.TryParse(text, out _));

    [Fact]
    public void Rules_come_from_all_layers_the_highest_as_a_whole()
    {
        using SettingsSource source = SettingsSource.Complete().Json("""{ "Access": ["a=10.0.0.0/8", "b=unix"] }""");
        Assert.Equal(["a", "b"], source.Read().Access.Select(rule => rule.Export));
        source.Variable("ZEROFLOW__ACCESS", "c=unix, d=any");
        Assert.Equal(["c", "d"], source.Read().Access.Select(rule => rule.Export));
        source.Option("Access:0", "e=any");
        Assert.Equal(["e"], source.Read().Access.Select(rule => rule.Export));
    }

    [Fact]
    public void A_wrong_rule_is_named_with_its_form()
    {
        using SettingsSource source = SettingsSource.Complete().Option("Access:0", "pg=everybody");
        Assert.Contains(source.ReadErrors(), e => e.StartsWith("Access is \"pg=everybody\" (--option), but must be EXPORT=WHO", StringComparison.Ordinal));
    }

    [Fact]
    public void A_certificate_can_be_wanted_only_where_clients_are_asked_for_one()
    {
        using var authority = new TestAuthority("authority");
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using SettingsSource source = SettingsSource.Complete().Option("Access:0", "pg=cert:db1");
        Assert.Contains(source.ReadErrors(), e => e.Contains("Tls:ClientCa", StringComparison.Ordinal));
        IssuedCertificate server = authority.Issue("server", CertificateUse.Server);
        source.File("cert.pem", server.Certificate, Private);
        source.File("key.pem", server.Key, Private);
        source.File("ca.pem", authority.Certificate, Private);
        source.Option("Tls:Certificate", "cert.pem").Option("Tls:Key", "key.pem").Option("Tls:ClientCa", "ca.pem");
        Assert.Equal("db1", Assert.Single(source.Read().Access).CertificateName);
    }
}
