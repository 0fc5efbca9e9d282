using System.Net.Sockets;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Servers;

/// <summary>Conversations that keep the rules, damaged in a few places by a seed.</summary>
public sealed class ConversationFuzzTests
{
    private const int Rounds = 150;

    // The options of every kind, then requests of every kind: damage in one of them meets the parsers behind it, too.
    private static readonly byte[][] s_corpus =
    [
        [
            .. Option(NbdOption.StructuredReply),
            .. Option(NbdOption.ListMetaContext, RawClient.MetaData("disk", "base:")),
            .. Option(NbdOption.SetMetaContext, RawClient.MetaData("disk", "base:allocation", "other:thing")),
            .. Option(NbdOption.Info, RawClient.GoData("disk", 0, 1, 2, 3)),
            .. Option(NbdOption.Go, RawClient.GoData("disk", 3)),
            .. Requests(),
        ],
        [.. Option(NbdOption.List), .. Option(NbdOption.StartTls), .. Option(NbdOption.ExportName, "disk"u8), .. Requests()],
        [.. Option((NbdOption)12), .. Option(NbdOption.Go, RawClient.GoData("nobody")), .. Option(NbdOption.Abort)],
        [
            .. Option(NbdOption.ExtendedHeaders),
            .. Option(NbdOption.SetMetaContext, RawClient.MetaData("disk", "base:allocation")),
            .. Option(NbdOption.Go, RawClient.GoData("disk", 3)),
            .. ExtendedRequests(),
        ],
    ];

    // Goal: whatever a damaged conversation says, the server answers it or closes, logs no bug of its own, keeps no
    // buffer, and serves the others.
    [Theory]
    [InlineData(101)]
    [InlineData(102)]
    [InlineData(103)]
    [InlineData(104)]
    public async Task A_damaged_conversation_ends_and_harms_nobody(int seed)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient bystander = server.Attach();
        var random = new Random(seed);
        for (int round = 0; round < Rounds; round++)
        {
            byte[] damaged = s_corpus[random.Next(s_corpus.Length)];
            for (int damages = random.Next(1, 5); damages > 0; damages--) damaged = Damage(damaged, random);
            using RawClient client = server.Connect().Greet();
            Converse(client, damaged);
            Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
        }

        await server.UntilConnectionsAreAsync(1);
        Assert.Empty(server.Errors.Lines);
    }

    // Goal: the corpus is what it says: undamaged, it gets past the parsers to the device.
    [Fact]
    public async Task Undamaged_conversations_reach_the_device()
    {
        await using TestServer server = await TestServer.StartAsync();
        foreach (byte[] conversation in s_corpus)
        {
            using RawClient client = server.Connect().Greet();
            Converse(client, conversation);
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(22, server.Device.Started);
        Assert.Empty(server.Errors.Lines);
    }

    private static byte[] Option(NbdOption option, ReadOnlySpan<byte> data = default) =>
        RawClient.OptionBytes((uint)option, data.ToArray());

    private static byte[] Requests() =>
    [
        .. RawClient.RequestBytes(0, 1, 0, 65536),
        .. RawClient.RequestBytes(0, 2, 4096, 512, (ushort)CommandFlags.ForceUnitAccess),
        .. RawClient.RequestBytes(1, 3, 8192, 100, 0, new byte[100]),
        .. RawClient.RequestBytes(4, 4, 16384, 4096),
        .. RawClient.RequestBytes(6, 5, 0, 1 << 20, (ushort)CommandFlags.NoHole),
        .. RawClient.RequestBytes(7, 6, 0, 1 << 20),
        .. RawClient.RequestBytes(5, 7, 0, 4096),
        .. RawClient.RequestBytes(3, 8, 0, 0),
        .. RawClient.RequestBytes(2, 9, 0, 0),
    ];

    private static byte[] ExtendedRequests() =>
    [
        .. ExtendedHeaders.RequestBytes(NbdCommand.Read, 1, 0, 65536),
        .. ExtendedHeaders.RequestBytes(NbdCommand.Write, 2, 8192, 100, CommandFlags.PayloadLength, new byte[100]),
        .. ExtendedHeaders.RequestBytes(NbdCommand.Trim, 3, 16384, 4096),
        .. ExtendedHeaders.RequestBytes(NbdCommand.WriteZeroes, 4, 0, 1 << 20),
        .. ExtendedHeaders.RequestBytes(NbdCommand.BlockStatus, 5, 0, 1 << 20),
        .. ExtendedHeaders.RequestBytes(
            NbdCommand.BlockStatus, 6, 0, 12, CommandFlags.PayloadLength, [.. RawClient.U64(4096), .. RawClient.U32(1)]),
        .. ExtendedHeaders.RequestBytes(NbdCommand.Flush, 7, 0, 0),
        .. ExtendedHeaders.RequestBytes(NbdCommand.Disconnect, 8, 0, 0),
    ];

    private static byte[] Damage(byte[] bytes, Random random)
    {
        if (bytes.Length < 16) return bytes;
        int at = random.Next(bytes.Length - 8);
        int length = random.Next(1, Math.Min(64, bytes.Length - at));
        byte[] edge = random.Next(4) switch
        {
            0 => RawClient.U32(0),
            1 => RawClient.U32(uint.MaxValue),
            2 => RawClient.U32(1u << random.Next(32)),
            _ => RawClient.U32((uint)random.Next()),
        };
        return random.Next(6) switch
        {
            0 => [.. bytes[..at], (byte)random.Next(256), .. bytes[(at + 1)..]],
            1 => [.. bytes[..at], (byte)(bytes[at] ^ (1 << random.Next(8))), .. bytes[(at + 1)..]],
            2 => [.. bytes[..at], .. edge, .. bytes[(at + 4)..]],
            3 => [.. bytes[..at], .. bytes[(at + length)..]],
            4 => [.. bytes[..(at + length)], .. bytes[at..]],
            _ => bytes[..(at + 8)],
        };
    }

    // Says all of it, hangs up the sending half, and listens until the server has closed.
    private static void Converse(RawClient client, byte[] bytes)
    {
        try
        {
            client.Send(bytes);
            client.Socket.Shutdown(SocketShutdown.Send);
            byte[] answers = new byte[65536];
            while (client.Socket.Receive(answers) > 0)
            {
            }
        }
        catch (SocketException fault) when (fault.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown
            or SocketError.NotConnected or SocketError.ConnectionAborted)
        {
            // The server may drop a client that breaks the protocol before it has said everything.
        }
    }
}
