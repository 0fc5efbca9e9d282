using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Handshakes;

public sealed class HandshakeTests
{
    // Goal: what nbd-client of long ago sends still works, padding included.
    [Theory]
    [InlineData(0u, 124)]
    [InlineData(1u, 124)]
    [InlineData(3u, 0)]
    public async Task Export_name_attaches_with_the_padding_that_the_client_flags_ask_for(uint flags, int padding)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet(flags);
        client.SendOption(NbdOption.ExportName, "disk"u8.ToArray());
        byte[] answer = client.Read(10 + padding);
        Assert.Equal((ulong)TestServer.SizeBytes, BinaryPrimitives.ReadUInt64BigEndian(answer));
        Assert.Equal(0xD6D, BinaryPrimitives.ReadUInt16BigEndian(answer.AsSpan(8)));
        Assert.All(answer[10..], b => Assert.Equal(0, b));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task Export_name_of_an_unknown_export_ends_the_session_without_a_byte()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.SendOption(NbdOption.ExportName, "nothing"u8.ToArray());
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Export_name_of_an_export_that_cannot_be_opened_ends_the_session_and_no_other()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient bystander = server.Attach();
        server.Directory.OpenFault = new StorageFaultException(FaultKind.Unavailable, "The bucket is not there.");
        using RawClient client = server.Connect().Greet();
        client.SendOption(NbdOption.ExportName, "disk"u8.ToArray());
        Assert.True(client.IsClosedByServer());
        Assert.Equal(NbdError.None, bystander.Call(NbdCommand.Flush, 0, 0));
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(7u)]
    [InlineData(0x80000003u)]
    public async Task Unknown_client_flags_drop_the_connection(uint flags)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet(flags);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(5u)]
    [InlineData(12u)]
    [InlineData(4u)]
    [InlineData(0u)]
    [InlineData(0xFFFFFFFFu)]
    public async Task Options_that_are_not_served_are_unsupported_and_the_next_one_is_understood(uint option)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorUnsupported, client.AskError((NbdOption)option));
        Assert.Equal((uint)NbdOptionReply.ErrorUnsupported, client.AskError((NbdOption)option, new byte[777]));
        Assert.Equal((uint)NbdOptionReply.ErrorUnsupported, client.AskError((NbdOption)option, new byte[100_000]));
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData("disk"))[^1].Reply);
    }

    [Fact]
    public async Task Abort_is_acknowledged_whatever_its_data_and_then_closed()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.Abort, 1, 2, 3));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task List_names_every_export_in_order()
    {
        await using TestServer server = await TestServer.StartAsync(
            null, null, TestServer.Export("b"), TestServer.Export("a"), TestServer.Export("ü"));
        using RawClient client = server.Connect().Greet();
        List<(uint Reply, byte[] Data)> answers = client.Ask(NbdOption.List);
        string[] names = [.. answers[..^1].Select(a => Encoding.UTF8.GetString(a.Data.AsSpan(4)))];
        Assert.Equal(["a", "b", "ü"], names);
        Assert.All(answers[..^1], a =>
        {
            Assert.Equal((uint)NbdOptionReply.Server, a.Reply);
            Assert.Equal(a.Data.Length - 4, BinaryPrimitives.ReadInt32BigEndian(a.Data));
        });
        Assert.Equal((uint)NbdOptionReply.Ack, answers[^1].Reply);
    }

    [Fact]
    public async Task List_with_data_is_invalid_and_leaves_no_stray_answer()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorInvalid, client.AskError(NbdOption.List, 0));
        Assert.Equal(2, client.Ask(NbdOption.List).Count);
    }

    [Fact]
    public async Task Data_above_the_limit_are_skipped_and_refused_as_too_big()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        Assert.Equal((uint)NbdOptionReply.ErrorTooBig, client.AskError(NbdOption.Go, new byte[64 * 1024 + 1]));
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.Abort, new byte[200_000]));
    }

    [Fact]
    public async Task Data_beyond_reason_end_the_connection_before_they_are_read()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Send(
            [.. RawClient.U64(NbdConstants.OptionMagic), .. RawClient.U32(99), .. RawClient.U32(uint.MaxValue)]);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task A_wrong_option_magic_drops_the_connection()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Send([.. RawClient.U64(0x0123456789ABCDEF), .. RawClient.U32(3), .. RawClient.U32(0)]);
        Assert.True(client.IsClosedByServer());
    }

    // Goal: a client may send everything in one piece, requests included, without waiting for any answer.
    [Fact]
    public async Task A_client_that_does_not_wait_is_served()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.Bytes[5] = 77;
        using RawClient client = server.Connect();
        client.Send(
            [
                .. RawClient.U32(3), .. RawClient.OptionBytes(12), .. RawClient.OptionBytes(7, RawClient.GoData("disk")),
                .. RawClient.RequestBytes(0, 42, 5, 1), .. RawClient.RequestBytes(2, 0, ulong.MaxValue, uint.MaxValue),
            ]);
        client.Read(18);
        Assert.Equal((uint)NbdOptionReply.ErrorUnsupported, client.ReadAnswers((NbdOption)12)[^1].Reply);
        Assert.Equal((uint)NbdOptionReply.Ack, client.ReadAnswers(NbdOption.Go)[^1].Reply);
        Assert.Equal((NbdError.None, 42UL), client.ReadReply());
        Assert.Equal([77], client.Read(1));
        Assert.True(client.IsClosedByServer());
    }

    // Goal: a handshake that is cut at any byte, or sent byte by byte, is never more than that connection's problem.
    [Fact]
    public async Task A_handshake_that_stops_anywhere_leaves_nothing_behind()
    {
        await using TestServer server = await TestServer.StartAsync();
        byte[] go = RawClient.OptionBytes(7, RawClient.GoData("disk", 3));
        byte[] whole = [.. RawClient.U32(3), .. RawClient.OptionBytes(3), .. go];
        for (int cut = 0; cut <= whole.Length; cut++)
        {
            using RawClient client = server.Connect();
            client.Send(whole[..cut]);
        }

        using (RawClient slow = server.Connect())
        {
            foreach (byte single in whole) slow.Send(single);
            slow.Read(18);
            Assert.Equal(2, slow.ReadAnswers(NbdOption.List).Count);
            Assert.Equal(3, slow.ReadAnswers(NbdOption.Go).Count);
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Equal(0, server.Pool.RentedBytes);
    }

    [Fact]
    public async Task A_client_that_haggles_too_long_is_dropped_and_an_attached_one_is_not()
    {
        var time = new SteppedTime();
        await using TestServer server = await TestServer.StartAsync(time: time);
        using RawClient attached = server.Attach();
        await TestServer.UntilAsync(() => time.AlarmCount == 0, "the attached client's alarm is off");
        using RawClient silent = server.Connect();
        silent.Read(18);
        using RawClient haggling = server.Connect().Greet();
        Assert.Equal(2, haggling.Ask(NbdOption.List).Count);

        time.Advance(TimeSpan.FromSeconds(29));
        Assert.Equal(2, haggling.Ask(NbdOption.List).Count);
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(silent.IsClosedByServer());
        Assert.True(haggling.IsClosedByServer());
        Assert.Equal(NbdError.None, attached.Call(NbdCommand.Flush, 0, 0));
    }
}
