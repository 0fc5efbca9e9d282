using ZeroFlow.Perf.Recording;
using static ZeroFlow.Perf.Tests.Recording.NbdBytes;

namespace ZeroFlow.Perf.Tests.Recording;

// Requests are found in the stream wherever the network cuts it, and whatever stands in payloads.
public sealed class NbdWatcherTests
{
    private const ushort Offered = 0x25;

    private readonly List<TraceConnection> _connections = [];
    private readonly List<TraceRecord> _requests = [];
    private readonly NbdWatcher _watcher;

    public NbdWatcherTests() => _watcher = new NbdWatcher(
        5,
        _connections.Add,
        (command, flags, offset, length) => _requests.Add(new TraceRecord(0, command, offset, length, flags, 5)));

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(29)]
    [InlineData(1 << 20)]
    public void Requests_are_found_wherever_the_stream_is_cut(int piece)
    {
        Server(Greeting(), piece);
        Client([.. U32(3), .. Option(8, [])], piece);
        Server(Reply(8, 1, []), piece);
        Client(Go("disk"), piece);
        Server(Reply(7, 3, [.. U16(3), .. U32(1), .. U32(4096), .. U32(65536)]), piece);
        Server([.. ExportInfo(1 << 30, Offered), .. Reply(7, 1, [])], piece);
        Client(
            [
                .. Request(1, 1, 4096, 70_000, 70_000), .. Request(0, 0, 0, 512), .. Request(0, 3, 0, 0),
                .. Request(0, 4, 8192, uint.MaxValue), .. Request(2, 6, 8192, 4096), .. Request(0, 1, 0, 512, 512),
                .. Request(0, 2, 0, 0),
            ],
            piece);

        Assert.Null(_watcher.Lost);
        Assert.Equal(
            [new TraceConnection(5, "disk", 1 << 30, (NbdExportFlags)Offered, ReplyForm.Structured)], _connections);
        Assert.Equal(
            [
                new(0, NbdCommand.Write, 4096, 70_000, NbdRequestFlags.Fua, 5),
                new(0, NbdCommand.Read, 0, 512, NbdRequestFlags.None, 5),
                new(0, NbdCommand.Flush, 0, 0, NbdRequestFlags.None, 5),
                new(0, NbdCommand.Trim, 8192, uint.MaxValue, NbdRequestFlags.None, 5),
                new(0, NbdCommand.WriteZeroes, 8192, 4096, NbdRequestFlags.NoHole, 5),
                new(0, NbdCommand.Write, 0, 512, NbdRequestFlags.None, 5),
                new(0, NbdCommand.Disconnect, 0, 0, NbdRequestFlags.None, 5),
            ],
            _requests);
    }

    [Theory]
    [InlineData(3, 0)]
    [InlineData(1, 124)]
    public void Export_name_begins_transmission_without_a_reply_to_the_option(uint clientFlags, int zeroes)
    {
        Server(Greeting(), 7);
        Client([.. U32(clientFlags), .. Option(1, "pg"u8.ToArray())], 7);
        Server([.. U64(1 << 20), .. U16(Offered), .. new byte[zeroes]], 7);
        Client(Request(0, 0, 0, 512), 7);

        Assert.Equal([new TraceConnection(5, "pg", 1 << 20, (NbdExportFlags)Offered, ReplyForm.Simple)], _connections);
        Assert.Single(_requests);
    }

    [Fact]
    public void Replies_that_come_with_the_last_reply_to_an_option_are_not_looked_at()
    {
        Server(Greeting(), 100);
        Client([.. U32(3), .. Go("disk")], 100);
        Server([.. ExportInfo(4096, 1), .. Reply(7, 1, []), .. new byte[1000]], 2000);
        Client(Request(0, 3, 0, 0), 100);

        Assert.Null(_watcher.Lost);
        Assert.Single(_requests);
    }

    [Fact]
    public void A_refused_option_leaves_the_negotiation_going()
    {
        Server(Greeting(), 100);
        Client([.. U32(3), .. Option(11, []), .. Option(8, [])], 100);
        Server([.. Reply(11, 0x80000001, "no"u8.ToArray()), .. Reply(8, 0x80000001, [])], 100);
        Client(Go("a"), 100);
        Server(Reply(7, 0x80000006, []), 100);
        Client(Go(""), 100);
        Server([.. ExportInfo(4096, 1), .. Reply(7, 1, [])], 100);

        Assert.Equal([new TraceConnection(5, "", 4096, NbdExportFlags.HasFlags, ReplyForm.Simple)], _connections);
    }

    [Fact]
    public void Extended_headers_have_long_lengths_and_payloads_by_flag()
    {
        Server(Greeting(), 11);
        Client([.. U32(3), .. Option(11, []), .. Go("x")], 11);
        Server([.. Reply(11, 1, []), .. ExportInfo(1L << 50, Offered), .. Reply(7, 1, [])], 11);
        Client(
            [
                .. ExtendedRequest(0, 4, 0, 1L << 40), .. ExtendedRequest(32, 7, 0, 64, 64),
                .. ExtendedRequest(32, 1, 512, 512, 512), .. ExtendedRequest(0, 7, 0, 1L << 40),
            ],
            11);

        Assert.Equal(ReplyForm.Extended, _connections[0].Replies);
        Assert.Equal([1L << 40, 64, 512, 1L << 40], _requests.Select(request => request.Length));
    }

    [Fact]
    public void What_is_encrypted_or_foreign_ends_the_watching_only()
    {
        Server(Greeting(), 9);
        Client([.. U32(3), .. Option(5, [])], 9);
        Server(Reply(5, 1, []), 9);
        Client([22, 3, 1, 2, 0], 9);
        Assert.Equal("the connection is encrypted", _watcher.Lost);

        var other = new NbdWatcher(0, _ => { }, (_, _, _, _) => { });
        other.ServerSent("HTTP/1.1 200 OK\r\n\r\n"u8);
        other.ClientSent("GET /"u8);
        Assert.NotNull(other.Lost);
        Assert.Empty(_requests);
    }

    private void Client(byte[] bytes, int piece)
    {
        foreach (var part in bytes.Chunk(piece)) _watcher.ClientSent(part);
    }

    private void Server(byte[] bytes, int piece)
    {
        foreach (var part in bytes.Chunk(piece)) _watcher.ServerSent(part);
    }
}
