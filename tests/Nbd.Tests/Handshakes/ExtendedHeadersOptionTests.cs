using System.Buffers.Binary;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;

namespace ZeroFlow.Nbd.Tests.Handshakes;

// doc/proto.md of the branch extension-ext-header: NBD_OPT_EXTENDED_HEADERS and what it changes of other options.
public sealed class ExtendedHeadersOptionTests
{
    [Fact]
    public async Task It_takes_no_data_and_may_be_asked_for_again_and_behind_structured_replies()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.ExtendedHeaders, 1));
        Assert.Equal((uint)NbdOptionReply.ErrorTooBig, client.AskError(NbdOption.ExtendedHeaders, new byte[100_000]));
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StructuredReply));
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.ExtendedHeaders));
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.ExtendedHeaders));
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task Structured_replies_cannot_be_had_any_more_and_extended_headers_stay()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.ExtendedHeaders);
        Assert.Equal((uint)NbdOptionReply.ErrorExtendedHeadersRequired, client.AskError(NbdOption.StructuredReply));
        client.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task EXPORT_NAME_behind_it_ends_the_session_without_a_byte()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.ExtendedHeaders);
        client.SendOption(NbdOption.ExportName, "disk"u8.ToArray());
        Assert.True(client.IsClosedByServer());
    }

    // Contexts need no structured replies then, and the flag that tells of the filter needs contexts of the same export.
    [Fact]
    public async Task Contexts_are_had_with_it_and_the_flags_say_what_goes()
    {
        await using TestServer server =
            await TestServer.StartAsync(null, null, TestServer.Export("disk"), TestServer.Export("other"));
        using RawClient client = server.Connect().Greet();
        Assert.Equal(TransmissionFlags.None, FlagsOf(client, "disk") & Extended);
        client.Ask(NbdOption.ExtendedHeaders);
        Assert.Equal(TransmissionFlags.SendDontFragment, FlagsOf(client, "disk") & Extended);
        client.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk", "base:allocation"));
        Assert.Equal(Extended, FlagsOf(client, "disk") & Extended);
        Assert.Equal(TransmissionFlags.SendDontFragment, FlagsOf(client, "other") & Extended);
        client.Ask(NbdOption.SetMetaContext, RawClient.MetaData("disk"));
        Assert.Equal(TransmissionFlags.SendDontFragment, FlagsOf(client, "disk") & Extended);
    }

    // Whoever sits in the middle before TLS must not choose the form of what comes behind it.
    [Fact]
    public async Task TLS_forgets_it()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: false));
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.ExtendedHeaders);
        client.StartTls(folder.Authority);
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.StructuredReply));
        client.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(ReplyChunk.None, Assert.Single(client.CallStructured(NbdCommand.Flush, 0, 0)).Kind);

        using RawClient again = server.Connect().Greet().StartTls(folder.Authority);
        again.Ask(NbdOption.ExtendedHeaders);
        again.Ask(NbdOption.Go, RawClient.GoData("disk"));
        Assert.Equal(NbdError.None, again.CallExtendedForError(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task A_server_that_wants_TLS_first_says_so()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await TestServer.StartAsync(folder.Options(isRequired: true));
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorTlsRequired, client.AskError(NbdOption.ExtendedHeaders));
    }

    private const TransmissionFlags Extended = TransmissionFlags.SendDontFragment | TransmissionFlags.BlockStatusPayload;

    private static TransmissionFlags FlagsOf(RawClient client, string name)
    {
        byte[] info = client.Ask(NbdOption.Info, RawClient.GoData(name))[0].Data;
        return (TransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(info.AsSpan(10));
    }
}
