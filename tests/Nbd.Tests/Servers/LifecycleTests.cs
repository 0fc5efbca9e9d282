using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Servers;

public sealed class LifecycleTests
{
    // Goal: a stop finishes what is under way, answers what is new with ESHUTDOWN, and then closes.
    [Fact]
    public async Task A_stop_drains()
    {
        await using TestServer server = await TestServer.StartAsync();
        EndPoint endpoint = server.Server.BoundEndpoints[0];
        server.Device.HeldOperations.Add("write");
        using RawClient busy = server.Attach();
        using RawClient idle = server.Attach();
        using RawClient haggling = server.Connect().Greet();
        busy.Request(NbdCommand.Write, 1, 0, 1, 0, 5);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 1, "the write under way");

        Task stop = server.Server.StopAsync(TimeSpan.FromSeconds(30));
        Assert.True(idle.IsClosedByServer());
        Assert.Equal(NbdError.Shutdown, busy.Call(NbdCommand.Read, 0, 1));
        Assert.Equal(NbdError.Shutdown, busy.Call(NbdCommand.Write, 0, 70_000, 0, new byte[70_000]));
        Assert.Equal((uint)NbdOptionReply.ErrorShutdown, haggling.AskError(NbdOption.List));
        Assert.Equal((uint)NbdOptionReply.ErrorShutdown, haggling.AskError(NbdOption.Go, RawClient.GoData("disk")));
        Assert.Throws<SocketException>(() => new RawClient(endpoint).Dispose());
        Assert.False(stop.IsCompleted);

        server.Device.ReleaseHeld();
        Assert.Equal((NbdError.None, 1UL), busy.ReadReply());
        Assert.True(busy.IsClosedByServer());
        Assert.True(haggling.IsClosedByServer());
        await stop;
        Assert.Equal(5, server.Device.Bytes[0]);
        Assert.Equal(0, server.Server.ConnectionCount);
    }

    // Who has attached something is known by name; who only haggles is a connection, and no client.
    [Fact]
    public async Task Clients_are_listed_while_they_are_attached()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient haggling = server.Connect().Greet();
        using (RawClient first = server.Attach())
        using (RawClient second = server.Attach())
        {
            Assert.Equal(NbdError.None, first.Call(NbdCommand.Flush, 0, 0));
            Assert.Equal(NbdError.None, second.Call(NbdCommand.Flush, 0, 0));
            IReadOnlyList<NbdClient> clients = server.Server.Clients();
            Assert.Equal(2, clients.Count);
            Assert.All(clients, static client => Assert.Equal(("disk", "127.0.0.1", false), (client.Export, client.Peer, client.IsSecured)));
            Assert.True(clients[0].Connection < clients[1].Connection);
        }

        await server.UntilConnectionsAreAsync(1);
        Assert.Empty(server.Server.Clients());
    }

    [Fact]
    public async Task A_stop_gives_up_what_does_not_drain_in_time()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("read");
        using RawClient client = server.Attach();
        client.Request(NbdCommand.Read, 1, 0, 100);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 1, "the read under way");
        await server.Server.StopAsync(TimeSpan.FromMilliseconds(20));
        Assert.True(client.IsClosedByServer());
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    [Fact]
    public async Task A_stop_is_not_held_up_by_clients_that_never_read()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Attach();
        for (ulong i = 0; i < 200; i++) deaf.Request(NbdCommand.Read, i, 0, 1024 * 1024);
        await server.UntilOneWaitsForRoomAsync();
        await server.Server.StopAsync(TimeSpan.FromMilliseconds(20));
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    [Fact]
    public async Task A_unix_socket_serves_like_tcp_and_replaces_a_dead_one()
    {
        string path = Path.Combine(Path.GetTempPath(), $"zf-{Environment.ProcessId}-{Random.Shared.Next():x}.sock");
        NbdServerOptions options = TestServer.DefaultOptions with { TcpEndpoints = [], UnixSocketPath = path };
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(path));
            File.Move(path, path + ".kept");
        }

        File.Move(path + ".kept", path);
        await using (TestServer server = await TestServer.StartAsync(options))
        {
            using RawClient client = server.Attach();
            Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 0, 300_000, 0, new byte[300_000]));
            Assert.Equal(new byte[300_000], client.ReadExport(0, 300_000));
            StorageFaultException taken =
                await Assert.ThrowsAsync<StorageFaultException>(() => TestServer.StartAsync(options));
            Assert.Equal(FaultKind.Invalid, taken.Kind);
        }

        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_left_alone()
    {
        string path = Path.Combine(Path.GetTempPath(), $"zf-{Environment.ProcessId}-{Random.Shared.Next():x}.txt");
        await File.WriteAllTextAsync(path, "", TestContext.Current.CancellationToken);
        try
        {
            await Assert.ThrowsAsync<StorageFaultException>(
                () => TestServer.StartAsync(TestServer.DefaultOptions with { UnixSocketPath = path }));
            Assert.True(File.Exists(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task A_port_in_use_is_one_clear_sentence_and_leaves_nothing_bound()
    {
        await using TestServer server = await TestServer.StartAsync();
        var taken = (IPEndPoint)server.Server.BoundEndpoints[0];
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => TestServer.StartAsync(
            TestServer.DefaultOptions with { TcpEndpoints = [new IPEndPoint(IPAddress.Loopback, 0), taken] }));
        Assert.Equal(FaultKind.Invalid, fault.Kind);
        Assert.Contains($"{taken}", fault.Message, StringComparison.Ordinal);
        Assert.Contains("already in use", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_above_the_limit_is_closed_at_once_and_a_place_that_becomes_free_is_used()
    {
        await using TestServer server =
            await TestServer.StartAsync(TestServer.DefaultOptions with { ConnectionsMax = 2 });
        using RawClient first = server.Attach();
        using (server.Attach())
        {
            using RawClient third = server.Connect();
            Assert.True(third.IsClosedByServer());
        }

        await server.UntilConnectionsAreAsync(1);
        using RawClient fourth = server.Attach();
        Assert.Equal(NbdError.None, fourth.Call(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task Options_out_of_range_are_refused_by_name()
    {
        await using TestServer server = await TestServer.StartAsync();
        StorageFaultException fault = Assert.Throws<StorageFaultException>(() => new NbdServer(
            server.Directory, TestServer.DefaultOptions with { RequestsInFlightMax = 0 }, server.Pool, server.Metrics,
            TimeProvider.System, NullLogger<NbdServer>.Instance));
        Assert.Contains("RequestsInFlightMax", fault.Message, StringComparison.Ordinal);
    }
}
