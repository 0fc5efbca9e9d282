using System.Net.Sockets;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Servers;

public sealed class HostileClientTests
{
    [Fact]
    public async Task Two_hundred_clients_that_connect_and_leave_leave_nothing_behind()
    {
        await using TestServer server = await TestServer.StartAsync();
        for (int i = 0; i < 200; i++)
        {
            using RawClient client = (i % 4) switch
            {
                0 => server.Connect(),
                1 => server.Connect().Greet(),
                _ => server.Attach(),
            };
            if (i % 4 == 3) client.Request(NbdCommand.Disconnect, 0, 0, 0);
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    // Goal: a hang-up with reads under way costs the server nothing but their results.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_hangs_up_with_64_reads_in_flight_harms_nobody(bool resets)
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("read");
        using RawClient bystander = server.Attach();
        using (RawClient client = server.Attach())
        {
            for (ulong i = 0; i < 64; i++) client.Request(NbdCommand.Read, i, i * 65536, 65536);
            await TestServer.UntilAsync(() => server.Device.HeldCount == 64, "64 reads under way");
            if (resets) client.Socket.LingerState = new LingerOption(true, 0);
        }

        Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        server.Device.ReleaseHeld();
        await server.UntilConnectionsAreAsync(1);
        server.Device.HeldOperations.Clear();
        Assert.Equal(new byte[4], bystander.ReadExport(0, 4));
    }

    [Fact]
    public async Task A_client_that_stops_in_the_middle_of_a_payload_leaves_nothing_behind()
    {
        await using TestServer server = await TestServer.StartAsync();
        using (RawClient client = server.Attach())
        {
            client.Send(RawClient.RequestBytes(1, 1, 0, 1_000_000, 0, new byte[300_000]));
        }

        using (RawClient client = server.Attach())
        {
            client.Send(RawClient.RequestBytes(1, 1, TestServer.SizeBytes, 1_000_000, 0, new byte[300_000]));
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(0, server.Pool.RentedBytes);
        Assert.Equal(0, server.Device.Started);
    }

    // Goal: who does not read replies is not read from any more, keeps bounded memory, and others go on; once it
    // reads, it gets everything.
    [Fact]
    public async Task A_client_that_never_reads_is_stopped_and_only_it()
    {
        const int Reads = 400;
        const int Length = 128 * 1024;
        await using TestServer server = await TestServer.StartAsync(TestServer.DefaultOptions with
        {
            ConnectionPayloadBytesMax = 2 * 1024 * 1024,
            ServerPayloadBytesMax = 2 * 1024 * 1024,
        });
        using RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Attach();
        for (ulong i = 0; i < Reads; i++) deaf.Request(NbdCommand.Read, i, i, Length);
        await TestServer.UntilAsync(() => server.Metrics.Stages[0].QueueDepth == 1, "the deaf client is not read from");
        Assert.InRange(server.Pool.RentedBytes, 0, 4 * 1024 * 1024);

        using RawClient other = server.Attach();
        for (uint i = 0; i < 20; i++) Assert.Equal(new byte[Length], other.ReadExport(i, Length));

        for (int i = 0; i < Reads; i++)
        {
            Assert.Equal(NbdError.None, deaf.ReadReply().Error);
            deaf.Read(Length);
        }

        Assert.Equal(NbdError.None, deaf.Call(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task A_deaf_client_that_hangs_up_gives_everything_back()
    {
        await using TestServer server = await TestServer.StartAsync();
        using (RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Attach())
        {
            for (ulong i = 0; i < 200; i++) deaf.Request(NbdCommand.Read, i, 0, 1024 * 1024);
            await TestServer.UntilAsync(() => server.Metrics.Stages[0].QueueDepth == 1, "the deaf client is not read from");
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    // Goal: seeded noise in either phase ends, at worst, the connection that sent it.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_bytes_harm_nobody(int seed)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient bystander = server.Attach();
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            byte[] noise = new byte[random.Next(1, 5000)];
            random.NextBytes(noise);
            using RawClient client = (i % 3) switch
            {
                0 => server.Connect(),
                1 => server.Connect().Greet(),
                _ => server.Attach(),
            };
            TrySend(client, noise);
            Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        }

        await server.UntilConnectionsAreAsync(1);
    }

    // Goal: noise with the right magics gets deeper: every field of every message takes hostile values.
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public async Task Random_fields_behind_right_magics_harm_nobody(int seed)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient bystander = server.Attach();
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            byte[] noise = new byte[random.Next(0, 300)];
            random.NextBytes(noise);
            using RawClient client = i % 2 == 0 ? server.Connect().Greet() : server.Attach();
            TrySend(client, i % 2 == 0
                ? [.. RawClient.U64(NbdConstants.OptionMagic), .. RawClient.U32((uint)random.Next(0, 13)), .. RawClient.U32(Edge(random)), .. noise]
                : RawClient.RequestBytes(
                    (ushort)random.Next(0, 10), 1, Edge(random) | ((ulong)Edge(random) << 32), Edge(random),
                    (ushort)random.Next(0, 65536), noise));
            Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        }

        await server.UntilConnectionsAreAsync(1);

        static uint Edge(Random random) => random.Next(5) switch
        {
            0 => 0,
            1 => uint.MaxValue,
            2 => uint.MaxValue - (uint)random.Next(0, 10),
            3 => 1u << random.Next(0, 32),
            _ => (uint)random.Next(0, 300),
        };
    }

    private static void TrySend(RawClient client, byte[] bytes)
    {
        try
        {
            client.Send(bytes);
        }
        catch (SocketException)
        {
            // The server may have dropped the client before it had sent everything.
        }
    }
}
