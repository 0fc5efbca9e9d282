using System.Net.Sockets;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Nbd.Tests.Tls;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Tests.Transmissions;

// Large reads whose bytes the device lends are sent from where they lie, and given back once, whatever becomes of the client.
public sealed class LentReadTests
{
    private const int Large = 256 * 1024;

    private readonly BufferPool _lender = new(64 << 20);

    [Theory]
    [InlineData(Large, 64 * 1024)]
    [InlineData(Large + 1, 17_000)]
    [InlineData(1 << 20, 128 * 1024)]
    public async Task They_arrive_as_they_are_among_small_ones(int length, int pieceBytes)
    {
        await using TestServer server = await StartAsync(pieceBytes);
        using (RawClient client = server.Attach())
        {
            for (uint i = 0; i < 4; i++)
            {
                client.Request(NbdCommand.Read, 2 * i, 4096 * i, 4096);
                client.Request(NbdCommand.Read, (2 * i) + 1, 1000 * i, (uint)length);
            }

            for (int i = 0; i < 8; i++)
            {
                (NbdError error, ulong cookie) = client.ReadReply();
                Assert.Equal(NbdError.None, error);
                bool isLarge = cookie % 2 == 1;
                int offset = (isLarge ? 1000 : 4096) * (int)(cookie / 2);
                int expected = isLarge ? length : 4096;
                Assert.True(server.Device.Bytes.AsSpan(offset, expected).SequenceEqual(client.Read(expected)));
            }
        }

        await AllAreBackAsync();
    }

    [Fact]
    public async Task A_structured_reply_has_them_as_one_chunk()
    {
        await using TestServer server = await StartAsync(100_000);
        using RawClient client = server.Connect().AttachStructured();
        Chunk chunk = Assert.Single(client.CallStructured(NbdCommand.Read, 77, Large));
        Assert.Equal((ReplyChunk.OffsetData, 77UL), (chunk.Kind, chunk.Offset));
        Assert.True(server.Device.Bytes.AsSpan(77, Large).SequenceEqual(chunk.Bytes));
        await AllAreBackAsync();
    }

    [Fact]
    public async Task They_go_through_TLS()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await StartAsync(100_000, folder.Options(isRequired: true));
        using RawClient client = StartTlsTests.Attach(server, folder);
        Assert.Equal(server.Device.Bytes[3..(Large + 3)], client.ReadExport(3, Large));
        await AllAreBackAsync();
    }

    [Fact]
    public async Task A_client_that_vanishes_without_reading_keeps_none()
    {
        await using TestServer server = await StartAsync(128 * 1024);
        using (RawClient deaf = server.Connect(receiveBufferBytes: 16 * 1024).Attach())
        {
            for (ulong i = 0; i < 20; i++) deaf.Request(NbdCommand.Read, i, 0, 1 << 20);
            await TestServer.UntilAsync(() => _lender.RentedBytes > 1 << 20, "reads that wait for the client");
            deaf.Socket.LingerState = new LingerOption(true, 0);
        }

        await AllAreBackAsync();
    }

    private async Task<TestServer> StartAsync(int pieceBytes, NbdServerOptions? options = null)
    {
        TestServer server = await TestServer.StartAsync(options);
        new Random(1).NextBytes(server.Device.Bytes);
        server.Device.Lending = (_lender, pieceBytes);
        return server;
    }

    private Task AllAreBackAsync() => TestServer.UntilAsync(() => _lender.RentedBytes == 0, "everything given back");
}
