using System.Net;
using System.Net.Sockets;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Servers;

// Goal: a request that is served from memory allocates nothing, in every form of headers and for a client that may only
// read: at 100,000 requests a second every byte is a garbage collection.
[Collection(nameof(Storms))]
public sealed class AllocationTests
{
    private const int Warmup = 3_000;
    private const int Requests = 20_000;
    private const int Length = 4096;

    // What the runtime does for itself meanwhile, which no request is the reason of; it has its own times, and a request
    // that allocates does so in every round.
    private const long NoiseBytes = 64 * 1024;
    private const int Rounds = 5;

    [Theory]
    [InlineData("simple", false)]
    [InlineData("simple", true)]
    [InlineData("structured", false)]
    [InlineData("extended", false)]
    [InlineData("read-only", false)]
    public async Task A_request_allocates_nothing(string form, bool writes)
    {
        NbdServerOptions options = form == "read-only"
            ? TestServer.DefaultOptions with
            {
                Access = [new AccessRule { Export = "disk", Network = IPNetwork.Parse("127.0.0.0/8"), IsReadOnly = true }],
            }
            : TestServer.DefaultOptions;
        await using TestServer server = await TestServer.StartAsync(options);
        using RawClient client = form switch
        {
            "structured" => server.Connect().AttachStructured(),
            "extended" => server.Connect().AttachExtended(),
            _ => server.Attach(),
        };
        byte[] request = form == "extended"
            ? ExtendedHeaders.RequestBytes(NbdCommand.Read, 1, 8192, Length)
            : RawClient.RequestBytes((ushort)(writes ? 1 : 0), 1, 8192, Length, 0, writes ? new byte[Length] : []);
        int head = form switch { "structured" => 28, "extended" => 40, _ => 16 };
        byte[] reply = new byte[head + (writes ? 0 : Length)];
        Converse(client.Socket, request, reply, Warmup);
        long least = long.MaxValue;
        for (int round = 0; round < Rounds && least > NoiseBytes; round++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            Converse(client.Socket, request, reply, Requests);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }

        Assert.InRange(least, 0, NoiseBytes);
    }

    private static void Converse(Socket socket, byte[] request, byte[] reply, int times)
    {
        for (; times > 0; times--)
        {
            socket.Send(request);
            for (int read = 0; read < reply.Length;) read += socket.Receive(reply.AsSpan(read));
        }
    }
}
