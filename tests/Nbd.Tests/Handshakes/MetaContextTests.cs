using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Handshakes;

// doc/proto.md: STRUCTURED_REPLY, LIST_META_CONTEXT and SET_META_CONTEXT.
public sealed class MetaContextTests
{
    private const string Allocation = "base:allocation";

    [Fact]
    public async Task Structured_replies_are_agreed_on_again_and_again_and_take_no_data()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.StructuredReply, 1));
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.ListMetaContext, RawClient.MetaData("disk")));
        Assert.Equal((uint)NbdOptionReply.Ack, Assert.Single(client.Ask(NbdOption.StructuredReply)).Reply);
        Assert.Equal((uint)NbdOptionReply.Ack, Assert.Single(client.Ask(NbdOption.StructuredReply)).Reply);
    }

    // A client that cannot get structured replies must not be told of a flag that needs them.
    [Fact]
    public async Task Do_not_fragment_is_told_only_with_structured_replies_and_alike_by_INFO_and_GO()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.False(FlagsIn(client.Ask(NbdOption.Info, RawClient.GoData("disk"))).HasFlag(TransmissionFlags.SendDontFragment));
        client.Ask(NbdOption.StructuredReply);
        TransmissionFlags told = FlagsIn(client.Ask(NbdOption.Info, RawClient.GoData("disk")));
        Assert.True(told.HasFlag(TransmissionFlags.SendDontFragment));
        Assert.Equal(told, FlagsIn(client.Ask(NbdOption.Go, RawClient.GoData("disk"))));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1, "base:")]
    [InlineData(1, "base:allocation")]
    [InlineData(1, "base:allocation", "base:")]
    [InlineData(0, "base:other")]
    [InlineData(0, "qemu:dirty-bitmap:x")]
    [InlineData(0, "")]
    public async Task LIST_names_what_there_is_and_selects_nothing(int contexts, params string[] queries)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        List<(uint Reply, byte[] Data)> answers = client.Ask(NbdOption.ListMetaContext, RawClient.MetaData("disk", queries));
        Assert.Equal(contexts + 1, answers.Count);
        Assert.Equal((uint)NbdOptionReply.Ack, answers[^1].Reply);
        Assert.All(answers.SkipLast(1), answer => AssertIsAllocation(answer, id: 0));
        client.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 0, 4096)).Error);
    }

    [Theory]
    [InlineData(1, "base:allocation")]
    [InlineData(1, "other:thing", "base:allocation")]
    [InlineData(0)]
    [InlineData(0, "base:")]
    [InlineData(0, "base:allocation2")]
    public async Task SET_selects_exactly_what_it_names(int contexts, params string[] queries)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        List<(uint Reply, byte[] Data)> answers = client.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", queries));
        Assert.Equal(contexts + 1, answers.Count);
        Assert.All(answers.SkipLast(1), answer => AssertIsAllocation(answer, id: 1));
        client.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Chunk reply = Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 0, 4096));
        Assert.Equal(contexts == 1 ? ReplyChunk.BlockStatus : ReplyChunk.Error, reply.Kind);
    }

    // A selection is replaced by the next one even when that fails, and counts for the export that it named.
    [Fact]
    public async Task A_selection_is_void_after_a_failed_one_and_for_another_export()
    {
        await using TestServer server = await TestServer.StartAsync();
        using (RawClient client = server.Connect().Greet())
        {
            client.Ask(NbdOption.StructuredReply);
            client.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", Allocation));
            Assert.Equal(
                (uint)NbdOptionReply.ErrorUnknown,
                client.AskError(NbdOption.SetMetaContext, RawClient.MetaData("nobody", Allocation)));
            client.Ask(NbdOption.Go, RawClient.GoData("disk"));
            Assert.Equal(NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 0, 4096)).Error);
        }

        using RawClient other = server.Connect().Greet();
        other.Ask(NbdOption.StructuredReply);
        other.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", Allocation));
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, other.AskError(NbdOption.SetMetaContext, 0, 0, 0, 9, 1));
        other.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(NbdError.Invalid, Assert.Single(other.CallStructured(NbdCommand.BlockStatus, 0, 4096)).Error);
    }

    [Fact]
    public async Task A_selection_is_void_after_one_that_is_too_long()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        client.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", Allocation));
        byte[] tooLong = new byte[TestServer.DefaultOptions.OptionBytesMax + 1];
        Assert.Equal((uint)NbdOptionReply.ErrorTooBig, client.AskError(NbdOption.SetMetaContext, tooLong));
        client.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 0, 4096)).Error);
    }

    [Fact]
    public async Task Malformed_queries_are_invalid_and_the_session_goes_on()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        byte[] good = RawClient.MetaData("disk", Allocation);
        byte[][] malformed =
        [
            [], [0, 0, 0], [0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], good[..^1], [.. good, 0],
            [.. RawClient.U32(4), .. "disk"u8, .. RawClient.U32(uint.MaxValue)],
            [.. RawClient.U32(4), .. "disk"u8, .. RawClient.U32(1), .. RawClient.U32(uint.MaxValue), 1],
        ];
        foreach (byte[] data in malformed)
        {
            Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.SetMetaContext, data));
            Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.ListMetaContext, data));
        }

        Assert.Equal(2, client.Ask(NbdOption.SetMetaContext, good).Count);
    }

    private static void AssertIsAllocation((uint Reply, byte[] Data) answer, uint id)
    {
        Assert.Equal((uint)NbdOptionReply.MetaContext, answer.Reply);
        Assert.Equal(id, BinaryPrimitives.ReadUInt32BigEndian(answer.Data));
        Assert.Equal(Allocation, Encoding.UTF8.GetString(answer.Data.AsSpan(4)));
    }

    private static TransmissionFlags FlagsIn(List<(uint Reply, byte[] Data)> answers)
    {
        byte[] info = answers.Single(a => a.Reply == (uint)NbdOptionReply.Info && a.Data.Length == 12).Data;
        return (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(info.AsSpan(10));
    }
}
