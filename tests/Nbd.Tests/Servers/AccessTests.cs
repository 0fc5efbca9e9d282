using System.Buffers.Binary;
using System.Net;
using System.Text;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Servers;

// Who may have which export. What a client may not have does not exist for it.
public sealed class AccessTests
{
    private static readonly IPAddress s_friend = IPAddress.Parse("127.0.0.1");
    private static readonly IPAddress s_stranger = IPAddress.Parse("127.0.0.2");

    [Fact]
    public async Task An_export_that_a_client_may_not_have_is_neither_listed_nor_known_by_any_option()
    {
        await using TestServer server = await StartAsync(Rule("disk", network: "127.0.0.1/32"));
        using RawClient stranger = Connect(server, s_stranger).Greet();
        Assert.Equal(["other"], Names(stranger));
        stranger.Ask(NbdOption.StructuredReply);
        byte[] go = RawClient.GoData("disk", 0, 1, 2, 3);
        (uint Reply, byte[] Data)[] refusals =
        [
            Assert.Single(stranger.Ask(NbdOption.Info, go)),
            Assert.Single(stranger.Ask(NbdOption.Go, go)),
            Assert.Single(stranger.Ask(NbdOption.Go, RawClient.GoData("disk@monday"))),
            Assert.Single(stranger.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", "base:allocation"))),
            Assert.Single(stranger.Ask(NbdOption.ListMetaContext, RawClient.MetaData("disk@monday"))),
        ];

        // The very same as for one that is not there.
        (uint unknown, byte[] sentence) = Assert.Single(stranger.Ask(NbdOption.Go, RawClient.GoData("nothing")));
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, unknown);
        Assert.All(refusals, refusal => Assert.Equal(unknown, refusal.Reply));
        Assert.All(refusals, refusal => Assert.Equal(sentence, refusal.Data));
        Assert.Equal((uint)NbdOptionReply.Ack, stranger.Ask(NbdOption.Go, RawClient.GoData("other"))[^1].Reply);
        Assert.Contains("'disk'", Assert.Single(server.Errors.Warnings), StringComparison.Ordinal);

        using RawClient old = Connect(server, s_stranger).Greet();
        old.SendOption(NbdOption.ExportName, "disk"u8.ToArray());
        Assert.True(old.IsClosedByServer());

        using RawClient friend = Connect(server, s_friend).Greet();
        Assert.Equal(["disk", "disk@monday", "other"], Names(friend));
        Assert.Equal((uint)NbdOptionReply.Ack, friend.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        Assert.Equal(NbdError.None, friend.Call(NbdCommand.Write, 0, 1, 0, 1));
    }

    [Fact]
    public async Task Who_may_only_read_is_told_so_and_cannot_write()
    {
        await using TestServer server = await StartAsync(
            Rule("disk", network: "127.0.0.0/8") with { IsReadOnly = true }, Rule("disk", network: "127.0.0.1/32"));
        using RawClient reader = Connect(server, s_stranger).Greet();
        byte[] info = reader.Ask(NbdOption.Info, RawClient.GoData("disk"))[0].Data;
        Assert.True(((TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(info.AsSpan(10))).HasFlag(TransmissionFlags.ReadOnly));
        reader.Ask(NbdOption.Go, RawClient.GoData("disk"));
        using RawClient writer = Connect(server, s_friend).Attach();
        Assert.Equal(NbdError.None, writer.Call(NbdCommand.Write, 5, 1, 0, 77));

        Assert.Equal([77], reader.ReadExport(5, 1));
        Assert.Equal(NbdError.NotPermitted, reader.Call(NbdCommand.Write, 5, 3, 0, 1, 2, 3));
        Assert.Equal(NbdError.NotPermitted, reader.Call(NbdCommand.Trim, 5, 1));
        Assert.Equal(NbdError.NotPermitted, reader.Call(NbdCommand.WriteZeroes, 5, 1));
        Assert.Equal(NbdError.None, reader.Call(NbdCommand.Flush, 0, 0));
        Assert.Equal(NbdError.None, reader.Call(NbdCommand.Cache, 0, 4096));
        Assert.Equal([77], reader.ReadExport(5, 1));
        server.Device.Info = server.Device.Info with { SizeBytes = 4096 };
        Assert.Equal(NbdError.Invalid, reader.Call(NbdCommand.Read, 4096, 1));
        Assert.Equal(NbdError.NotPermitted, reader.Call(NbdCommand.Write, 5, 1, 0, 1));
    }

    [Fact]
    public async Task A_certificate_of_the_right_name_lets_in_and_one_of_another_name_does_not()
    {
        using var folder = new TlsFolder();
        AccessRule[] rules = [Rule("disk") with { CertificateName = "Database" }];
        await using TestServer server = await StartAsync(
            folder.Options(isRequired: false, asksClients: true) with { Access = rules });
        using RawClient database = server.Connect().Greet().StartTls(folder.Authority, folder.Client("database"));
        Assert.Contains("disk", Names(database));
        Assert.Equal((uint)NbdOptionReply.Ack, database.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        using RawClient other = server.Connect().Greet().StartTls(folder.Authority, folder.Client("web"));
        Assert.Equal(["other"], Names(other));
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, other.AskError(NbdOption.Go, RawClient.GoData("disk")));

        // Without TLS nobody has a name. What such a client learns before TLS is no more than that.
        using RawClient plain = server.Connect().Greet();
        Assert.Equal(["other"], Names(plain));
        plain.StartTls(folder.Authority, folder.Client("database"));
        Assert.Equal(["disk", "disk@monday", "other"], Names(plain));
    }

    [Fact]
    public async Task The_unix_socket_is_a_way_to_come()
    {
        string path = Path.Combine(Path.GetTempPath(), $"zf-{Environment.ProcessId}-{Random.Shared.Next():x}.sock");
        await using TestServer server = await StartAsync(TestServer.DefaultOptions with
        {
            UnixSocketPath = path,
            Access = [Rule("disk") with { NeedsUnixSocket = true }, Rule("*", network: "127.0.0.1/32")],
        });
        using RawClient local = new RawClient(server.Server.BoundEndpoints[1]).Greet();
        Assert.Equal(["disk", "disk@monday"], Names(local));
        using RawClient remote = Connect(server, s_friend).Greet();
        Assert.Equal(["other"], Names(remote));
    }

    // The empty name is the only export that there is, for this client.
    [Fact]
    public async Task The_default_export_is_the_only_one_that_the_client_may_have()
    {
        await using TestServer server = await StartAsync(Rule("disk", network: "127.0.0.1/32"));
        using RawClient stranger = Connect(server, s_stranger).Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, stranger.Ask(NbdOption.Go, RawClient.GoData(""))[^1].Reply);
        using RawClient friend = Connect(server, s_friend).Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, friend.AskError(NbdOption.Go, RawClient.GoData("")));
        await using TestServer closed = await StartAsync(Rule("*", network: "10.0.0.0/8"));
        using RawClient nobody = Connect(closed, s_friend).Greet();
        Assert.Empty(Names(nobody));
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, nobody.AskError(NbdOption.Go, RawClient.GoData("")));
    }

    [Theory]
    [InlineData("10.1.2.3", "a", AccessGrant.Full)]
    [InlineData("::ffff:10.1.2.3", "a", AccessGrant.Full)]
    [InlineData("10.2.0.0", "a", AccessGrant.ReadOnly)]
    [InlineData("11.0.0.0", "a", AccessGrant.None)]
    [InlineData("fd00::1", "a", AccessGrant.None)]
    [InlineData("fd00::1", "b", AccessGrant.Full)]
    [InlineData("fd00::1", "b@snapshot", AccessGrant.Full)]
    [InlineData("10.1.2.3", "b", AccessGrant.None)]
    [InlineData("10.1.2.3", "c", AccessGrant.None)]
    [InlineData("192.168.7.7", "c", AccessGrant.ReadOnly)]
    [InlineData("192.168.7.7", "a", AccessGrant.None)]
    internal void The_rules_of_an_export_count_and_those_for_any_only_where_there_are_none(
        string address, string export, AccessGrant expected)
    {
        var policy = new AccessPolicy(
        [
            Rule("a", "10.1.0.0/16"), Rule("a", "10.0.0.0/8") with { IsReadOnly = true }, Rule("b", "fd00::/8"),
            Rule("*", "192.168.0.0/16") with { IsReadOnly = true },
        ]);
        ClientIdentity client = ClientIdentity.At(new IPEndPoint(IPAddress.Parse(address), 1));
        Assert.Equal(expected, policy.Decide(client, export));
        Assert.Equal(AccessGrant.Full, new AccessPolicy([Rule("a")]).Decide(client, "b"));
    }

    [Fact]
    public async Task A_rule_for_certificates_needs_a_server_that_asks_for_them()
    {
        using var folder = new TlsFolder();
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => StartAsync(
            folder.Options(isRequired: true) with { Access = [Rule("disk") with { CertificateName = "x" }] }));
        Assert.Equal(FaultKind.Invalid, fault.Kind);
    }

    private static AccessRule Rule(string export, string? network = null) => new()
    {
        Export = export,
        Network = network is null ? null : IPNetwork.Parse(network),
    };

    private static Task<TestServer> StartAsync(params AccessRule[] rules) =>
        StartAsync(TestServer.DefaultOptions with { Access = rules });

    private static Task<TestServer> StartAsync(NbdServerOptions options) => TestServer.StartAsync(
        options, null, TestServer.Export("disk"),
        TestServer.Export("disk@monday") with
        {
            Id = new ExportId(2),
            Snapshot = new SnapshotInfo(new ExportId(1), "monday", DateTimeOffset.UnixEpoch),
        },
        TestServer.Export("other") with { Id = new ExportId(3) });

    private static RawClient Connect(TestServer server, IPAddress from) =>
        new(server.Server.BoundEndpoints[0], from: from);

    private static string[] Names(RawClient client) =>
        [.. client.Ask(NbdOption.List).SkipLast(1).Select(a => Encoding.UTF8.GetString(a.Data.AsSpan(4)))];
}
