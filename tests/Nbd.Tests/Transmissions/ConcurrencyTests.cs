using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Nbd.Tests.Transmissions;

public sealed class ConcurrencyTests
{
    [Fact]
    public async Task Replies_leave_in_the_order_in_which_operations_complete()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("read");
        for (int i = 0; i < 100; i++) server.Device.Bytes[i] = (byte)i;
        using RawClient client = server.Attach();
        for (uint i = 0; i < 100; i++) client.Request(NbdCommand.Read, i, i, 1);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 100, "100 reads at once");

        for (ulong i = 99; i < 100; i--)
        {
            server.Device.ReleaseHeld(newestFirst: true, count: 1);
            Assert.Equal((NbdError.None, i), client.ReadReply());
            Assert.Equal((byte)i, client.Read(1)[0]);
        }
    }

    // Goal: a slow flush, or a cold read, delays nobody behind it.
    [Fact]
    public async Task A_flush_under_way_delays_neither_reads_nor_writes()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("flush");
        using RawClient client = server.Attach();
        client.Request(NbdCommand.Flush, 1, 0, 0);
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 0, 1, 0, 7));
        Assert.Equal([7], client.ReadExport(0, 1));
        server.Device.ReleaseHeld();
        Assert.Equal((NbdError.None, 1UL), client.ReadReply());
    }

    // Goal: one system call for a group commit, not one for each client request that waited for it.
    [Fact]
    public async Task Flushes_that_end_together_are_answered_with_one_send()
    {
        const int Flushes = CompletionBurst.ItemsMax;
        await using TestServer server = await TestServer.StartAsync();
        var barrier = new SequenceFrontier(new Sequence(0));
        server.Device.Barrier = barrier;
        using RawClient client = server.Attach();
        for (uint i = 0; i < Flushes; i++) client.Request(NbdCommand.Flush, i, 0, 0);
        await TestServer.UntilAsync(() => server.Device.Started == Flushes, "all flushes at once");

        barrier.AdvanceTo(new Sequence(1));
        Assert.Equal(Flushes * 16, client.Socket.Receive(new byte[Flushes * 16]));
    }

    // Goal: whole replies only, with payloads right behind their headers, when many threads complete at random.
    [Fact]
    public async Task Replies_stay_whole_under_random_sizes_and_completions()
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(5).NextBytes(server.Device.Bytes);
        server.Device.HeldOperations.Add("read");
        var random = new Random(6);
        var expected = new Dictionary<ulong, (int Offset, int Length)>();
        using RawClient client = server.Attach();
        using var done = new CancellationTokenSource();
        Task releasing = ReleaseUntilAsync(server.Device, done.Token);
        for (int round = 0; round < 10; round++)
        {
            for (int i = 0; i < 100; i++)
            {
                int length = 1 << random.Next(0, 18);
                int offset = random.Next(0, TestServer.SizeBytes - length);
                ulong cookie = unchecked((ulong)random.NextInt64(long.MinValue, long.MaxValue));
                expected[cookie] = (offset, length);
                client.Request(NbdCommand.Read, cookie, (ulong)offset, (uint)length);
            }

            while (expected.Count > 0)
            {
                (NbdError error, ulong cookie) = client.ReadReply();
                Assert.Equal(NbdError.None, error);
                Assert.True(expected.Remove(cookie, out (int Offset, int Length) range));
                Span<byte> truth = server.Device.Bytes.AsSpan(range.Offset, range.Length);
                Assert.True(truth.SequenceEqual(client.Read(range.Length)));
            }
        }

        await done.CancelAsync();
        await releasing;
    }

    // Goal: a client may send a large write before it takes the large replies that are waiting for it.
    [Fact]
    public async Task Requests_are_read_while_large_replies_wait_for_a_client_that_does_not_read()
    {
        const int Length = 2 * 1024 * 1024;
        await using TestServer server = await TestServer.StartAsync();
        new Random(7).NextBytes(server.Device.Bytes);
        byte[] before = [.. server.Device.Bytes];
        using RawClient client = server.Connect(receiveBufferBytes: 4096).Attach();
        for (uint i = 0; i < 3; i++) client.Request(NbdCommand.Read, i, i * Length, Length);
        byte[] written = new byte[Length];
        written.AsSpan().Fill(9);
        client.Request(NbdCommand.Write, 3, 3 * Length, Length, 0, written);
        await TestServer.UntilAsync(() => server.Device.Bytes[^1] == 9, "the write behind replies that nobody reads");

        for (uint i = 0; i < 3; i++)
        {
            Assert.Equal((NbdError.None, i), client.ReadReply());
            Assert.True(before.AsSpan((int)i * Length, Length).SequenceEqual(client.Read(Length)));
        }

        Assert.Equal((NbdError.None, 3UL), client.ReadReply());
    }

    [Fact]
    public async Task A_disconnect_finishes_what_is_under_way_first()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("write");
        using RawClient client = server.Attach();
        for (ulong i = 0; i < 10; i++) client.Request(NbdCommand.Write, i, i, 1, 0, (byte)(i + 1));
        client.Request(NbdCommand.Disconnect, 0, ulong.MaxValue, uint.MaxValue);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 10, "10 writes under way");
        server.Device.ReleaseHeld();
        HashSet<ulong> answered = [];
        for (int i = 0; i < 10; i++)
        {
            (NbdError error, ulong cookie) = client.ReadReply();
            Assert.Equal(NbdError.None, error);
            answered.Add(cookie);
        }

        Assert.Equal(10, answered.Count);
        Assert.True(client.IsClosedByServer());
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], server.Device.Bytes[..10]);
    }

    [Fact]
    public async Task A_client_that_only_finishes_sending_still_gets_its_replies()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.HeldOperations.Add("flush");
        using RawClient client = server.Attach();
        client.Request(NbdCommand.Flush, 8, 0, 0);
        client.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 1, "the flush under way");
        server.Device.ReleaseHeld();
        Assert.Equal((NbdError.None, 8UL), client.ReadReply());
        Assert.True(client.IsClosedByServer());
    }

    // Goal: a burst above the window waits in the socket; nothing is refused, lost or disconnected.
    [Fact]
    public async Task Requests_above_the_window_wait_and_are_all_served()
    {
        await using TestServer server =
            await TestServer.StartAsync(TestServer.DefaultOptions with { RequestsInFlightMax = 8 });
        server.Device.HeldOperations.Add("read");
        using RawClient client = server.Attach();
        for (ulong i = 0; i < 200; i++) client.Request(NbdCommand.Read, i, i, 1);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 8, "a full window");
        Assert.Equal(8, server.Metrics.Stages[0].Active);
        using var done = new CancellationTokenSource();
        Task releasing = ReleaseUntilAsync(server.Device, done.Token);
        HashSet<ulong> answered = [];
        for (int i = 0; i < 200; i++)
        {
            answered.Add(client.ReadReply().Cookie);
            client.Read(1);
        }

        Assert.Equal(200, answered.Count);
        await done.CancelAsync();
        await releasing;
    }

    // Goal: memory is bounded by bytes, not by requests, and a request above every budget still gets through.
    [Fact]
    public async Task Payload_memory_stays_within_the_budgets()
    {
        await using TestServer server = await TestServer.StartAsync(TestServer.DefaultOptions with
        {
            ConnectionPayloadBytesMax = 256 * 1024,
            ConnectionReservedBytes = 64 * 1024,
            ServerPayloadBytesMax = 128 * 1024,
        });
        server.Device.HeldOperations.Add("read");
        using RawClient client = server.Attach();

        // The connection rents its reply buffers only after it has answered GO; a first reply shows that it has them.
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 1000, 0, 0));
        long connectionBytes = server.Pool.RentedBytes;
        for (ulong i = 0; i < 50; i++) client.Request(NbdCommand.Read, i, 0, 64 * 1024);
        client.Request(NbdCommand.Read, 50, 0, 4 * 1024 * 1024);
        await TestServer.UntilAsync(() => server.Device.HeldCount == 3, "one reserved and two shared reads");
        await server.UntilOneWaitsForRoomAsync();
        Assert.InRange(server.Pool.RentedBytes - connectionBytes, 3 * 64 * 1024, 4 * 64 * 1024);

        using var done = new CancellationTokenSource();
        Task releasing = ReleaseUntilAsync(server.Device, done.Token);
        for (int i = 0; i < 51; i++)
        {
            (NbdError error, ulong cookie) = client.ReadReply();
            Assert.Equal(NbdError.None, error);
            client.Read(cookie == 50 ? 4 * 1024 * 1024 : 64 * 1024);
        }

        await done.CancelAsync();
        await releasing;
    }

    private static async Task ReleaseUntilAsync(MemoryDevice device, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            device.ReleaseHeld(newestFirst: true, count: 3);
            await Task.Yield();
        }
    }
}
