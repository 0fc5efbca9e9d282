using System.Security.Authentication;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.TestKit.Certificates;

namespace ZeroFlow.Nbd.Tests.Tls;

/// <summary>What may be said before, about and behind STARTTLS (doc/proto.md, "TLS support").</summary>
public sealed class StartTlsTests
{
    // Goal: whatever is asked for without TLS, the answer is the same, so that it says nothing about exports.
    [Theory]
    [InlineData(3u)]
    [InlineData(6u)]
    [InlineData(7u)]
    [InlineData(8u)]
    [InlineData(9u)]
    [InlineData(10u)]
    [InlineData(11u)]
    [InlineData(4u)]
    [InlineData(0xFFFFFFFFu)]
    public async Task Where_TLS_is_required_nothing_else_is_answered_before_it(uint option)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        byte[][] datas = [[], RawClient.GoData("disk"), RawClient.GoData("nobody"), new byte[100_000]];
        string[] answers = [.. datas.Select(data =>
        {
            (uint reply, byte[] text) = Assert.Single(client.Ask((NbdOption)option, data));
            Assert.Equal((uint)NbdOptionReply.ErrorTlsRequired, reply);
            return Convert.ToHexString(text);
        })];
        Assert.Single(answers.Distinct());

        client.StartTls(folder.Authority);
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
    }

    [Theory]
    [InlineData("disk")]
    [InlineData("nobody")]
    public async Task Where_TLS_is_required_an_export_name_before_it_ends_the_session_without_a_byte(string name)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        client.SendOption(NbdOption.ExportName, System.Text.Encoding.UTF8.GetBytes(name));
        Assert.True(client.IsClosedByServer());
        Assert.Equal(0, server.Device.Started);
    }

    [Fact]
    public async Task Where_TLS_is_required_abort_is_acknowledged_without_it()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.Abort));
        Assert.True(client.IsClosedByServer());
    }

    // Goal: a client that cannot be told to start TLS is not served without it.
    [Fact]
    public async Task Where_TLS_is_required_a_client_without_fixed_newstyle_is_dropped()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet(flags: 0);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Where_TLS_is_allowed_a_client_without_fixed_newstyle_does_not_get_it()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: false));
        using RawClient client = server.Connect().Greet(flags: 2);
        Assert.Equal((uint)NbdOptionReply.ErrorPolicy, client.AskError(NbdOption.StartTls));
        client.SendOption(NbdOption.ExportName, "disk"u8.ToArray());
        client.Read(10);
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task Where_TLS_is_allowed_clients_are_served_with_it_and_without()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: false));
        using RawClient plain = server.Attach();
        using RawClient secure = server.Connect().Greet().StartTls(folder.Authority);
        Assert.Equal(2, secure.Ask(NbdOption.List).Count);
        Assert.Equal((uint)NbdOptionReply.ErrorUnsupported, secure.AskError((NbdOption)99));
        Assert.Equal((uint)NbdOptionReply.Ack, secure.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        Assert.Equal(NbdError.None, secure.Call(NbdCommand.Write, 7, 1, 0, 99));
        Assert.Equal([99], plain.ReadExport(7, 1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Starttls_with_data_is_invalid_and_the_next_one_is_not(bool isRequired)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.StartTls, 0));
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.StartTls, new byte[100_000]));
        client.StartTls(folder.Authority);
        Assert.Equal(2, client.Ask(NbdOption.List).Count);
    }

    [Fact]
    public async Task A_second_starttls_is_invalid_and_leaves_no_stray_answer()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet().StartTls(folder.Authority);
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.StartTls));
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.StartTls, 1));
        Assert.Equal(2, client.Ask(NbdOption.List).Count);
    }

    // Goal: somebody in the middle cannot agree on anything in the client's name.
    [Fact]
    public async Task What_was_agreed_on_before_TLS_is_forgotten()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: false));
        using RawClient client = server.Connect().Greet();
        byte[] allocation = RawClient.MetaData("disk", "base:allocation");
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StructuredReply));
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.SetMetaContext, allocation)[^1].Reply);

        client.StartTls(folder.Authority);
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.SetMetaContext, allocation));
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        Assert.Equal(new byte[4], client.ReadExport(0, 4));
        Assert.Equal(NbdError.Invalid, client.Call(NbdCommand.BlockStatus, 0, 4096));
    }

    // Goal: bytes that came without TLS are never taken for bytes that came with it.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Anything_behind_starttls_in_one_piece_drops_the_connection_unanswered(bool isRequired)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired));
        byte[] startTls = RawClient.OptionBytes((uint)NbdOption.StartTls);
        byte[][] injections =
        [
            [0], RawClient.OptionBytes((uint)NbdOption.List), RawClient.OptionBytes((uint)NbdOption.Abort),
            RawClient.OptionBytes((uint)NbdOption.Go, RawClient.GoData("disk")),
        ];
        foreach (byte[] injection in injections)
        {
            using RawClient client = server.Connect();
            client.Read(18);
            client.Send([.. RawClient.U32(3), .. startTls, .. injection]);
            Assert.True(client.IsClosedByServer());
        }
    }

    [Fact]
    public async Task Options_without_TLS_behind_the_acknowledgement_drop_the_connection_unanswered()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: false));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StartTls));
        client.SendOption(NbdOption.Go, RawClient.GoData("disk"));
        client.Request(NbdCommand.Write, 1, 0, 4, 0, 1, 2, 3, 4);
        SkipAlert(client);
        Assert.Equal(0, server.Device.Started);
        Assert.Contains(server.Errors.Warnings, line => line.Contains("TLS failed", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(23)]
    public async Task Garbage_instead_of_a_handshake_harms_nobody(int seed)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient bystander = Attach(server, folder);
        var random = new Random(seed);
        for (int i = 0; i < 40; i++)
        {
            using RawClient client = server.Connect().Greet();
            Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StartTls));
            byte[] noise = new byte[random.Next(1, 2000)];
            random.NextBytes(noise);

            // Every second one gets past the record header.
            if (i % 2 == 0 && noise.Length > 9) new byte[] { 22, 3, 1, 0, 200, 1, 0, 0, 196 }.CopyTo(noise, 0);
            try
            {
                client.Send(noise);
                client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
                SkipAlert(client);
            }
            catch (System.Net.Sockets.SocketException)
            {
                // The server may have dropped the client before it had sent everything.
            }
        }

        Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        await server.UntilConnectionsAreAsync(1);
        Assert.Empty(server.Errors.Lines);
    }

    // Goal: the time for a handshake includes TLS, whether the client says nothing at all or stops in the middle.
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(60)]
    public async Task A_client_that_stalls_in_the_handshake_is_dropped_in_time(int bytes)
    {
        var time = new SteppedTime();
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true), time);
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StartTls));
        client.Send([.. new byte[] { 22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3 }.Concat(new byte[200]).Take(bytes)]);
        time.Advance(TimeSpan.FromSeconds(29));
        Assert.Equal(1, server.Server.ConnectionCount);
        time.Advance(TimeSpan.FromSeconds(2));
        SkipAlert(client);
        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    // Goal: a stalled handshake does not hold up the end of the server.
    [Fact]
    public async Task A_stop_drops_a_client_in_the_middle_of_the_handshake()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StartTls));
        client.Send(22, 3, 1);
        await server.Server.StopAsync(TimeSpan.FromSeconds(30));
        SkipAlert(client);
        Assert.Equal(0, server.Server.ConnectionCount);
    }

    // Goal: what the protocol calls too old is refused, by the alert that says so.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Versions_before_1_2_are_refused(byte minor)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StartTls));
        byte[] hello = [3, minor, .. new byte[32], 0, 0, 4, 0xC0, 0x09, 0, 0x2F, 1, 0];
        byte[] message = [1, 0, 0, (byte)hello.Length, .. hello];
        client.Send([22, 3, 1, 0, (byte)message.Length, .. message]);
        byte[] alert = client.Read(7);
        Assert.Equal(21, alert[0]);
        Assert.Equal([2, 70], alert[5..]);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task The_whole_chain_is_shown(SslProtocols version)
    {
        using var folder = new TlsFolder();
        using TestAuthority between = folder.Authority.Delegate("between");
        folder.Write(between.Issue("server below", CertificateUse.Server));
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet().StartTls(folder.Authority, protocols: version);
        Assert.Equal("CN=server below", client.ServerSubject);
        Assert.Equal(2, client.Ask(NbdOption.List).Count);
    }

    internal static RawClient Attach(
        TestServer server, TlsFolder folder, IssuedCertificate? own = null, SslProtocols version = SslProtocols.None)
    {
        RawClient client = server.Connect().Greet().StartTls(folder.Authority, own, version);
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        return client;
    }

    // An alert may come, which begins with 21, and nothing else.
    private static void SkipAlert(RawClient client)
    {
        byte[] one = new byte[64];
        try
        {
            int count = client.Socket.Receive(one);
            if (count == 0) return;
            Assert.Equal(21, one[0]);
            Assert.Equal(7, count);
            Assert.True(client.IsClosedByServer());
        }
        catch (System.Net.Sockets.SocketException fault)
        {
            Assert.Equal(System.Net.Sockets.SocketError.ConnectionReset, fault.SocketErrorCode);
        }
    }
}
