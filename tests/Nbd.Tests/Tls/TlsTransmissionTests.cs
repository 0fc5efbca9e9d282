using System.Net.Sockets;
using System.Security.Authentication;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Tls;

/// <summary>TLS keeps the promises of the transport.</summary>
public sealed class TlsTransmissionTests
{
    public static TheoryData<SslProtocols> Versions => [SslProtocols.Tls12, SslProtocols.Tls13];

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task Payloads_of_all_sizes_come_back_bit_for_bit(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = StartTlsTests.Attach(server, folder, version: version);
        var random = new Random(5);
        foreach (int length in (int[])[1, 4096, 16_368, 16_384, 16_385, 65_536, 81_920, 1_000_001, 8 * 1024 * 1024])
        {
            byte[] bytes = new byte[length];
            random.NextBytes(bytes);
            Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 0, (uint)length, 0, bytes));
            Assert.Equal(bytes, client.ReadExport(0, length));
        }
    }

    // Goal: many replies, small and large, sent together, arrive whole and in step with their headers.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Many_requests_in_flight_are_all_answered(bool areHeld)
    {
        const int Requests = 240;
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        new Random(6).NextBytes(server.Device.Bytes);
        using RawClient client = StartTlsTests.Attach(server, folder);
        int LengthOf(ulong cookie) => cookie % 3 == 0 ? 4096 : cookie % 3 == 1 ? 20_000 : 100_000;
        if (areHeld) server.Device.HeldOperations.Add("read");
        for (ulong i = 0; i < Requests; i++) client.Request(NbdCommand.Read, i, i * 1000, (uint)LengthOf(i));
        if (areHeld)
        {
            await TestServer.UntilAsync(() => server.Device.HeldCount == Requests, "all reads under way");
            server.Device.ReleaseHeld(newestFirst: true);
        }

        HashSet<ulong> seen = [];
        for (int i = 0; i < Requests; i++)
        {
            (NbdError error, ulong cookie) = client.ReadReply();
            Assert.Equal(NbdError.None, error);
            Assert.True(seen.Add(cookie));
            int start = (int)cookie * 1000;
            Assert.Equal(server.Device.Bytes[start..(start + LengthOf(cookie))], client.Read(LengthOf(cookie)));
        }
    }

    // Goal: while the receiver waits for a request, a reply to an older one leaves.
    [Fact]
    public async Task A_reply_leaves_while_the_server_waits_for_requests()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = StartTlsTests.Attach(server, folder);
        server.Device.HeldOperations.Add("flush");
        client.Request(NbdCommand.Flush, 5, 0, 0);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 1, "the flush under way");
        Assert.Equal(new byte[8], client.ReadExport(0, 8));
        server.Device.ReleaseHeld();
        Assert.Equal((NbdError.None, 5UL), client.ReadReply());
    }

    [Fact]
    public async Task The_payload_of_a_refused_write_is_drained_through_TLS()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = StartTlsTests.Attach(server, folder);
        Assert.Equal(
            NbdError.NoSpace, client.Call(NbdCommand.Write, TestServer.SizeBytes, 500_000, 0, new byte[500_000]));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
    }

    // Goal: the end is told inside TLS, so that the client knows that nothing was cut off. With 1.2 the type of a record
    // can be seen from outside: 21 is an alert.
    [Fact]
    public async Task A_disconnect_is_answered_by_the_end_of_TLS()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = StartTlsTests.Attach(server, folder, version: SslProtocols.Tls12);
        client.Request(NbdCommand.Read, 1, 0, 70_000);
        client.Request(NbdCommand.Disconnect, 0, 0, 0);
        client.ReadReply();
        client.Read(70_000);
        Assert.True(client.IsClosedByServer());
        Assert.Equal(21, client.Sealed!.RecordTypes[^1]);
    }

    [Fact]
    public async Task A_stop_drains_and_then_ends_TLS()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        server.Device.HeldOperations.Add("write");
        using RawClient idle = StartTlsTests.Attach(server, folder, version: SslProtocols.Tls12);
        using RawClient busy = StartTlsTests.Attach(server, folder, version: SslProtocols.Tls12);
        using RawClient haggling = server.Connect().Greet();
        busy.Request(NbdCommand.Write, 1, 0, 1, 0, 5);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 1, "the write under way");

        Task stop = server.Server.StopAsync(TimeSpan.FromSeconds(30));
        Assert.True(idle.IsClosedByServer());
        Assert.Equal(NbdError.Shutdown, busy.Call(NbdCommand.Read, 0, 1));
        Assert.Equal((uint)NbdOptionReply.ErrorShutdown, haggling.AskError(NbdOption.StartTls));
        server.Device.ReleaseHeld();
        Assert.Equal((NbdError.None, 1UL), busy.ReadReply());
        Assert.True(busy.IsClosedByServer());
        await stop;
        Assert.Equal(21, idle.Sealed!.RecordTypes[^1]);
        Assert.Equal(21, busy.Sealed!.RecordTypes[^1]);
    }

    [Fact]
    public async Task An_abort_in_TLS_is_acknowledged_and_ends_it()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client =
            server.Connect().Greet().StartTls(folder.Authority, protocols: SslProtocols.Tls12);
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.Abort));
        Assert.True(client.IsClosedByServer());
        Assert.Equal(21, client.Sealed!.RecordTypes[^1]);
    }

    [Fact]
    public async Task An_unknown_export_name_in_TLS_ends_the_session_without_a_byte()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet().StartTls(folder.Authority);
        client.SendOption(NbdOption.ExportName, "nobody"u8.ToArray());
        Assert.True(client.IsClosedByServer());
    }

    // Goal: who does not read replies is not read from any more, and neither it nor its hang-up costs anybody anything.
    [Fact]
    public async Task A_client_that_never_reads_is_stopped_and_gives_everything_back()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient other = StartTlsTests.Attach(server, folder);
        using (RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Greet().StartTls(folder.Authority))
        {
            deaf.Ask(NbdOption.Go, RawClient.GoData("disk"));
            for (ulong i = 0; i < 200; i++) deaf.Request(NbdCommand.Read, i, 0, 1024 * 1024);
            await server.UntilOneWaitsForRoomAsync();
            Assert.Equal(new byte[100_000], other.ReadExport(0, 100_000));

            // Disposing the client's side of TLS would say goodbye; a machine that vanishes does not.
            deaf.Socket.LingerState = new LingerOption(true, 0);
            deaf.Socket.Dispose();
        }

        await server.UntilConnectionsAreAsync(1);
        Assert.Empty(server.Errors.Lines);
    }

    [Fact]
    public async Task A_stop_is_not_held_up_by_clients_that_never_read()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Greet().StartTls(folder.Authority);
        deaf.Ask(NbdOption.Go, RawClient.GoData("disk"));
        for (ulong i = 0; i < 200; i++) deaf.Request(NbdCommand.Read, i, 0, 1024 * 1024);
        await server.UntilOneWaitsForRoomAsync();
        await server.Server.StopAsync(TimeSpan.FromMilliseconds(20));
        Assert.Empty(server.Errors.Lines);
    }

    // Goal: records that were forged, cut or are no records at all end their own connection, quietly.
    [Theory]
    [InlineData(SslProtocols.Tls12)]
    [InlineData(SslProtocols.Tls13)]
    public async Task Damage_inside_TLS_ends_the_connection_that_it_came_on(SslProtocols version)
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient bystander = StartTlsTests.Attach(server, folder);
        byte[][] damages =
        [
            [23, 3, 3, 0, 40, .. new byte[40]], [23, 3, 3, 0xFF, 0xFF, .. new byte[100]], [23, 3, 3],
            [22, 3, 3, 0, 4, 0, 0, 0, 0], [21, 3, 3, 0, 2, 1, 0], RawClient.RequestBytes(1, 1, 0, 4, 0, 1, 2, 3, 4),
        ];
        foreach (byte[] damage in damages)
        {
            using RawClient client = StartTlsTests.Attach(server, folder, version: version);
            client.Socket.Send(damage);
            client.Socket.Shutdown(SocketShutdown.Send);
            await server.UntilConnectionsAreAsync(1);
        }

        Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        Assert.Equal(1, server.Device.Started);
        Assert.Empty(server.Errors.Lines);
    }

    [Fact]
    public async Task A_unix_socket_offers_TLS_like_tcp()
    {
        string path = Path.Combine(Path.GetTempPath(), $"zf-{Environment.ProcessId}-{Random.Shared.Next():x}.sock");
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(
            folder.Options(isRequired: true) with { TcpEndpoints = [], UnixSocketPath = path });
        using RawClient client = StartTlsTests.Attach(server, folder);
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
        using RawClient plain = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorTlsRequired, plain.AskError(NbdOption.List));
    }
}
