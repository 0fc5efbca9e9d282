using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Handshakes;

public sealed class InfoAndGoTests
{
    [Fact]
    public async Task Info_and_go_tell_the_same_and_only_what_was_asked_for()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        byte[] data = RawClient.GoData("disk", 3, 1, 2, 0, 0x7777);
        List<(uint Reply, byte[] Data)> info = client.Ask(NbdOption.Info, data);
        List<(uint Reply, byte[] Data)> go = client.Ask(NbdOption.Go, data);
        Assert.Equal(info.Select(a => Convert.ToHexString(a.Data)), go.Select(a => Convert.ToHexString(a.Data)));
        Assert.Equal(5, go.Count);
        Assert.All(go[..^1], a => Assert.Equal((uint)NbdOptionReply.Info, a.Reply));
        byte[] export = Of(go, 0);
        Assert.Equal(12, export.Length);
        Assert.Equal((ulong)TestServer.SizeBytes, BinaryPrimitives.ReadUInt64BigEndian(export.AsSpan(2)));
        Assert.Equal(0xD6D, BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10)));
        Assert.Equal("disk", Encoding.UTF8.GetString(Of(go, 1).AsSpan(2)));
        Assert.Equal("disk for tests", Encoding.UTF8.GetString(Of(go, 2).AsSpan(2)));
        Assert.Equal([1u, 4096u, 32u * 1024 * 1024], Enumerable.Range(0, 3)
            .Select(i => BinaryPrimitives.ReadUInt32BigEndian(Of(go, 3).AsSpan(2 + (i * 4)))));

        // No padding follows the acknowledgement: the next bytes are a reply.
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));

        static byte[] Of(List<(uint Reply, byte[] Data)> answers, ushort kind) => Assert.Single(
            answers[..^1], a => BinaryPrimitives.ReadUInt16BigEndian(a.Data) == kind).Data;
    }

    [Fact]
    public async Task Go_without_requests_gets_the_export_and_nothing_else()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal(2, client.Ask(NbdOption.Go, RawClient.GoData("disk")).Count);
    }

    [Fact]
    public async Task A_read_only_export_says_so()
    {
        await using TestServer server =
            await TestServer.StartAsync(null, null, TestServer.Export("ro", isReadOnly: true));
        using RawClient client = server.Connect().Greet();
        byte[] export = client.Ask(NbdOption.Info, RawClient.GoData("ro"))[0].Data;
        Assert.Equal(0xD6F, BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10)));
    }

    // Clients are told that there is no cache to flush; those that flush all the same are served.
    [Fact]
    public async Task A_write_through_export_says_that_there_is_nothing_to_flush()
    {
        await using TestServer server =
            await TestServer.StartAsync(null, null, TestServer.Export("wt", writeThrough: true));
        using RawClient client = server.Connect().Greet();
        byte[] export = client.Ask(NbdOption.Info, RawClient.GoData("wt"))[0].Data;
        Assert.Equal(0xD61, BinaryPrimitives.ReadUInt16BigEndian(export.AsSpan(10)));
    }

    [Fact]
    public async Task The_empty_name_means_the_only_export()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Attach("");
        Assert.Equal(new byte[4], client.ReadExport(0, 4));
    }

    [Theory]
    [InlineData(NbdOption.Info)]
    [InlineData(NbdOption.Go)]
    internal async Task An_unknown_export_is_an_error_and_haggling_goes_on(NbdOption option)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, client.AskError(option, RawClient.GoData("nothing")));
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
    }

    [Fact]
    public async Task An_export_that_cannot_be_opened_says_why_and_haggling_goes_on()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Directory.OpenFault = new StorageFaultException(FaultKind.Unavailable, "The bucket is not there.");
        using RawClient client = server.Connect().Greet();
        (uint reply, byte[] data) = Assert.Single(client.Ask(NbdOption.Go, RawClient.GoData("disk")));
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, reply);
        Assert.Equal("The bucket is not there.", Encoding.UTF8.GetString(data));
        server.Directory.OpenFault = null;
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
    }

    public static TheoryData<string, byte[]> Malformed => new()
    {
        { "empty", [] },
        { "too short for a name length", [0, 0, 0] },
        { "no count of requests", [0, 0, 0, 0, 0] },
        { "name longer than the data", [0, 0, 0, 9, .. "disk"u8, 0, 0] },
        { "name length that wraps around", [0xFF, 0xFF, 0xFF, 0xFF, .. "disk"u8, 0, 0] },
        { "name that leaves no room for the count", [0, 0, 0, 4, .. "disk"u8] },
        { "fewer requests than announced", [0, 0, 0, 4, .. "disk"u8, 0, 2, 0, 3] },
        { "more bytes than announced", [0, 0, 0, 4, .. "disk"u8, 0, 0, 0] },
        { "a NUL in the name", [0, 0, 0, 4, .. "d\0sk"u8, 0, 0] },
        { "a name that is not UTF-8", [0, 0, 0, 2, 0xC3, 0x28, 0, 0] },
        { "a name above 4096 bytes", [0, 0, 0x10, 1, .. Enumerable.Repeat((byte)'a', 4097), 0, 0] },
    };

    [Theory]
    [MemberData(nameof(Malformed))]
    public async Task Malformed_data_are_invalid_and_haggling_goes_on(string why, byte[] data)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.True((uint)NbdOptionReply.ErrorInvalid == client.AskError(NbdOption.Info, data), why);
        Assert.True((uint)NbdOptionReply.ErrorInvalid == client.AskError(NbdOption.Go, data), why);
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
    }

    [Fact]
    public async Task The_longest_legal_name_with_many_requests_is_understood()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        byte[] data = RawClient.GoData(new string('a', 4096), [.. Enumerable.Range(0, 20_000).Select(i => (ushort)i)]);
        Assert.Equal((uint)NbdOptionReply.ErrorUnknown, client.AskError(NbdOption.Go, data));
    }
}
