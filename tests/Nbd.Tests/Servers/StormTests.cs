using System.Net.Sockets;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Servers;

/// <summary>These tests look at what the whole process holds, and so run one by one and alone.</summary>
[CollectionDefinition(nameof(Storms), DisableParallelization = true)]
public sealed class Storms;

/// <summary>
/// Many clients at once that come and go, say nothing, do not read, or know no rules. Nobody else notices, and nothing is
/// left of them. <c>ZEROFLOW_LONG=1</c> makes the storms as large as the issue asks for.
/// </summary>
[Collection(nameof(Storms))]
public sealed class StormTests
{
    private const int Kibi = 1024;
    private const int Mebi = 1024 * Kibi;
    private const int HandshakeKinds = 12;

    // What a full collection leaves moves by about this much from one time to the next.
    private const long NoiseBytes = Mebi;

    private static readonly bool s_isLong = Environment.GetEnvironmentVariable("ZEROFLOW_LONG") == "1";

    // Goal: 10,000 handshakes that break off or break the rules cost nothing once they are over.
    [Fact]
    public async Task Bad_handshakes_leave_nothing_behind_and_harm_nobody()
    {
        int count = s_isLong ? 10_000 : 2_000;
        await using TestServer server = await TestServer.StartAsync();
        using var bystander = new Bystander(server.Attach());
        BadHandshakes(server, count / 4, seed: 1);
        await server.UntilConnectionsAreAsync(1);
        ProcessCost before = ProcessCost.Now(server.Pool);

        BadHandshakes(server, count, seed: 2);
        await bystander.IsServedAsync(10);
        await server.UntilConnectionsAreAsync(1);
        await ProcessCost.IsBackAtAsync(before, server.Pool, NoiseBytes);
        bystander.Stop();
        Assert.Empty(server.Errors.Lines);
    }

    // Goal: 1,000 clients that are attached all at once, work, and leave in every way there is.
    [Fact]
    public async Task Connections_that_open_and_close_by_the_hundred_leave_nothing_behind()
    {
        int count = s_isLong ? 1_000 : 200;
        await using TestServer server =
            await TestServer.StartAsync(TestServer.DefaultOptions with { ConnectionsMax = count + 1 });
        using var bystander = new Bystander(server.Attach());
        await ComeAndGoAsync(server, count);
        ProcessCost before = ProcessCost.Now(server.Pool);
        for (int round = 0; round < 3; round++)
        {
            await ComeAndGoAsync(server, count);
            await bystander.IsServedAsync(10);
        }

        await ProcessCost.IsBackAtAsync(before, server.Pool, NoiseBytes);
        bystander.Stop();
        Assert.Empty(server.Errors.Lines);
    }

    // Goal: clients that do not read and sockets that say nothing, more than there are places, hold a bounded amount of
    // memory; who is attached is served, and who comes next gets in.
    [Fact]
    public async Task Deaf_and_mute_clients_keep_nobody_out()
    {
        const int Deaf = 20, Reads = 100, Length = 64 * Kibi;
        int mute = s_isLong ? 1_000 : 200;
        await using TestServer server = await TestServer.StartAsync(TestServer.DefaultOptions with
        {
            ConnectionsMax = 64,
            ConnectionPayloadBytesMax = Mebi,
            ServerPayloadBytesMax = 4 * Mebi,
        });
        using var bystander = new Bystander(server.Attach());
        ProcessCost before = ProcessCost.Now(server.Pool);
        List<RawClient> clients = [];
        for (int i = 0; i < Deaf; i++)
        {
            RawClient deaf = server.Connect(receiveBufferBytes: 16 * Kibi).Attach();
            for (ulong read = 0; read < Reads; read++) deaf.Request(NbdCommand.Read, read, 512 * Kibi + read, Length);
            clients.Add(deaf);
        }

        for (int i = 0; i < mute; i++) clients.Add(server.Connect());
        await bystander.IsServedAsync(20);
        for (int i = 0; i < 10; i++)
        {
            using RawClient newcomer = server.Attach();
            Assert.Equal(NbdError.None, newcomer.Call(NbdCommand.Flush, 0, 0));
        }

        // What the connections have for themselves, the server's budget above that, and their buffers.
        Assert.InRange(server.Pool.RentedBytes, 0, (64 * 640 * Kibi) + (4 * Mebi));
        foreach (RawClient deaf in clients.Take(Deaf))
        {
            for (int read = 0; read < Reads; read++)
            {
                Assert.Equal(NbdError.None, deaf.ReadReply().Error);
                deaf.Read(Length);
            }
        }

        foreach (RawClient client in clients) client.Dispose();
        await server.UntilConnectionsAreAsync(1);
        await ProcessCost.IsBackAtAsync(before, server.Pool, NoiseBytes);
        bystander.Stop();
        Assert.Empty(server.Errors.Lines);
    }

    [Fact]
    public async Task Who_chooses_for_longest_makes_room_and_who_is_attached_never_does()
    {
        await using TestServer server =
            await TestServer.StartAsync(TestServer.DefaultOptions with { ConnectionsMax = 3 });
        using RawClient attached = server.Attach();
        using RawClient first = server.Connect().Greet();
        using RawClient second = server.Connect().Greet();
        await server.UntilConnectionsAreAsync(3);
        using RawClient third = server.Attach();
        Assert.True(first.IsClosedByServer());
        Assert.Equal(2, second.Ask(NbdOption.List).Count);
        using RawClient fourth = server.Attach();
        Assert.True(second.IsClosedByServer());
        using RawClient fifth = server.Connect();
        Assert.True(fifth.IsClosedByServer());
        foreach (RawClient client in (RawClient[])[attached, third, fourth])
            Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
    }

    private static void BadHandshakes(TestServer server, int count, int seed)
    {
        const int Workers = 4;
        Thread[] workers = [.. Enumerable.Range(0, Workers).Select(worker => new Thread(() =>
        {
            var random = new Random((seed * 100) + worker);
            for (int i = worker; i < count; i += Workers) BadHandshake(server, i % HandshakeKinds, random);
        }))];
        foreach (Thread worker in workers) worker.Start();
        foreach (Thread worker in workers) worker.Join();
    }

    private static void BadHandshake(TestServer server, int kind, Random random)
    {
        byte[] noise = new byte[random.Next(1, 300)];
        random.NextBytes(noise);
        try
        {
            using RawClient client = server.Connect();
            switch (kind)
            {
                case 0:
                    return;
                case 1:
                    client.Socket.LingerState = new LingerOption(true, 0);
                    return;
                case 2:
                    client.Send(RawClient.U32(0x80000003));
                    break;
                case 3:
                    client.Send([.. RawClient.U32(3), .. RawClient.U64(1), .. RawClient.U32(7), .. RawClient.U32(0)]);
                    break;
                case 4:
                    client.Send([.. RawClient.U32(0xff000000), .. noise]);
                    break;
                case 5:
                    client.Send([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, .. noise]);
                    break;
                case 6:
                    client.Send("GET / HTTP/1.1\r\nHost: disk\r\n\r\n"u8.ToArray());
                    break;
                case 7:
                    client.Send([.. RawClient.U32(3), .. RawClient.OptionBytes(7, RawClient.GoData("disk"))[..^3]]);
                    return;
                case 8:
                    client.Send(
                        [.. RawClient.U32(3), .. RawClient.U64(NbdConstants.OptionMagic), .. RawClient.U32(9), .. RawClient.U32(uint.MaxValue)]);
                    break;
                case 9:
                    client.Send([.. RawClient.U32(3), .. RawClient.OptionBytes(1, "nobody"u8.ToArray())]);
                    break;
                case 10:
                    client.Send([.. RawClient.U32(3), .. RawClient.OptionBytes(7, noise), .. RawClient.OptionBytes(2)]);
                    break;
                default:
                    client.Send([.. RawClient.U32(3), .. RawClient.OptionBytes(3, noise), .. RawClient.OptionBytes(1, noise)]);
                    break;
            }

            byte[] answers = new byte[4096];
            while (client.Socket.Receive(answers) > 0)
            {
            }
        }
        catch (SocketException fault) when (fault.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // A server that drops a client may do so before it has read everything.
        }
    }

    private static async Task ComeAndGoAsync(TestServer server, int count)
    {
        List<RawClient> clients = [];
        for (int i = 0; i < count; i++) clients.Add(server.Attach());
        Assert.Equal(count + 1, server.Server.ConnectionCount);
        for (int i = 0; i < count; i++)
        {
            ulong offset = (ulong)(Mebi + (i * 512));
            byte[] own = new byte[512];
            new Random(i).NextBytes(own);
            Assert.Equal(NbdError.None, clients[i].Call(NbdCommand.Write, offset, 512, 0, own));
            Assert.Equal(own, clients[i].ReadExport(offset, 512));
        }

        for (int i = 0; i < count; i++)
        {
            if (i % 4 == 0) clients[i].Request(NbdCommand.Disconnect, 0, 0, 0);
            if (i % 4 == 1) clients[i].Socket.LingerState = new LingerOption(true, 0);
            if (i % 4 == 2) clients[i].Request(NbdCommand.Read, 1, 0, 256 * Kibi);
            clients[i].Dispose();
        }

        await server.UntilConnectionsAreAsync(1);
    }
}
