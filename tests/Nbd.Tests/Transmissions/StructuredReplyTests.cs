using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Transmissions;

// doc/proto.md, "Structured reply chunk message".
public sealed class StructuredReplyTests
{
    private const int Kibi = 1024;
    private const uint HoleAndZero = 3;

    [Theory]
    [InlineData(1)]
    [InlineData(4 * Kibi)]
    [InlineData(31 * Kibi)]
    [InlineData(200 * Kibi)]
    public async Task A_READ_is_one_chunk_of_data_where_there_are_no_holes(int length)
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(length).NextBytes(server.Device.Bytes);
        using RawClient client = server.Connect().AttachStructured();
        Chunk chunk = Assert.Single(client.CallStructured(NbdCommand.Read, 77, (uint)length));
        Assert.Equal((ReplyChunk.OffsetData, 77UL), (chunk.Kind, chunk.Offset));
        Assert.True(server.Device.Bytes.AsSpan(77, length).SequenceEqual(chunk.Bytes));
    }

    // Goal: a hole costs 32 bytes of the wire, whatever its length.
    [Fact]
    public async Task A_READ_over_holes_sends_holes_and_covers_every_byte_once()
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(1).NextBytes(server.Device.Bytes);
        server.Device.Holes.AddRange([new BlockRange(40 * Kibi, 20 * Kibi), new BlockRange(90 * Kibi, 10 * Kibi)]);
        using RawClient client = server.Connect().AttachStructured();

        List<Chunk> chunks = client.CallStructured(NbdCommand.Read, 10 * Kibi, 90 * Kibi);
        Assert.Equal(
            [ReplyChunk.OffsetData, ReplyChunk.OffsetHole, ReplyChunk.OffsetData, ReplyChunk.OffsetHole],
            chunks.Select(c => c.Kind));
        Assert.Equal([10UL * Kibi, 40 * Kibi, 60 * Kibi, 90 * Kibi], chunks.Select(c => c.Offset));
        Assert.Equal([20U * Kibi, 10 * Kibi], chunks.Where(c => c.Kind == ReplyChunk.OffsetHole).Select(c => c.HoleLength));
        Assert.True(server.Device.Bytes.AsSpan(10 * Kibi, 30 * Kibi).SequenceEqual(chunks[0].Bytes));
        Assert.True(server.Device.Bytes.AsSpan(60 * Kibi, 30 * Kibi).SequenceEqual(chunks[2].Bytes));

        Chunk hole = Assert.Single(client.CallStructured(NbdCommand.Read, 90 * Kibi, 10 * Kibi, 0));
        Assert.Equal(ReplyChunk.OffsetData, hole.Kind);
        server.Device.Holes.Add(new BlockRange(100 * Kibi, 300 * Kibi));
        hole = Assert.Single(client.CallStructured(NbdCommand.Read, 120 * Kibi, 200 * Kibi));
        Assert.Equal((ReplyChunk.OffsetHole, 200U * Kibi), (hole.Kind, hole.HoleLength));
    }

    [Fact]
    public async Task Many_small_holes_or_DF_make_one_chunk_of_data()
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(2).NextBytes(server.Device.Bytes);
        for (int i = 0; i < 8; i++) server.Device.Holes.Add(new BlockRange((1 + (2 * i)) * 4 * Kibi, 4 * Kibi));
        using RawClient client = server.Connect().AttachStructured();
        Chunk whole = Assert.Single(client.CallStructured(NbdCommand.Read, 0, 64 * Kibi));
        Assert.True(server.Device.Bytes.AsSpan(0, 64 * Kibi).SequenceEqual(whole.Bytes));

        server.Device.Holes.RemoveRange(1, 7);
        Assert.Equal(3, client.CallStructured(NbdCommand.Read, 0, 64 * Kibi).Count);
        whole = Assert.Single(client.CallStructured(NbdCommand.Read, 0, 64 * Kibi, CommandFlags.DontFragment));
        Assert.True(server.Device.Bytes.AsSpan(0, 64 * Kibi).SequenceEqual(whole.Bytes));
    }

    [Fact]
    public async Task Commands_without_content_end_with_an_empty_chunk_and_errors_carry_their_code()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachStructured();
        foreach (Chunk done in (Chunk[])
                 [
                     Assert.Single(client.CallStructured(NbdCommand.Write, 0, 3, 0, 1, 2, 3)),
                     Assert.Single(client.CallStructured(NbdCommand.Flush, 0, 0)),
                     Assert.Single(client.CallStructured(NbdCommand.Trim, 0, 1000)),
                     Assert.Single(client.CallStructured(NbdCommand.Read, 5, 0)),
                 ])
        {
            Assert.Equal((ReplyChunk.None, 0), (done.Kind, done.Data.Length));
        }

        Assert.Equal(
            NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.Read, TestServer.SizeBytes, 1)).Error);
        Assert.Equal(
            NbdError.NoSpace, Assert.Single(client.CallStructured(NbdCommand.Write, TestServer.SizeBytes, 1, 0, 1)).Error);
        Assert.Equal(
            NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.Write, 0, 1, CommandFlags.DontFragment, 1)).Error);
        server.Device.Fault = _ => new StorageFaultException(FaultKind.Corrupt, "A frame does not open.");
        Chunk failed = Assert.Single(client.CallStructured(NbdCommand.Read, 0, 100 * Kibi));
        Assert.Equal((ReplyChunk.Error, NbdError.InputOutput), (failed.Kind, failed.Error));
    }

    // The bytes were read, and the look for holes fails: an error, never half a reply.
    [Fact]
    public async Task A_READ_whose_second_look_fails_is_an_error()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.Fault = operation => operation == "status"
            ? new StorageFaultException(FaultKind.Unavailable, "The bucket does not answer.")
            : null;
        using RawClient client = server.Connect().AttachStructured();
        Assert.Equal(NbdError.InputOutput, Assert.Single(client.CallStructured(NbdCommand.Read, 0, 100 * Kibi)).Error);
        Assert.Equal(ReplyChunk.OffsetData, Assert.Single(client.CallStructured(NbdCommand.Read, 0, 4 * Kibi)).Kind);
    }

    // Goal: what no chunk of data covers is exactly what failed, and each part that failed is named by its first byte.
    [Theory]
    [InlineData(10, 20)]
    [InlineData(0, 20)]
    [InlineData(190, 10)]
    [InlineData(0, 200)]
    [InlineData(10, 20, 40, 1, 60, 100, 199, 1)]
    public async Task A_READ_that_fails_in_parts_sends_the_rest_and_names_the_parts(params int[] failed)
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(6).NextBytes(server.Device.Bytes);
        const int Offset = 77, Length = 200 * Kibi;
        BlockRange[] ranges =
            [.. failed.Chunk(2).Select(part => new BlockRange(Offset + (part[0] * Kibi), part[1] * Kibi))];
        server.Device.Damage = ranges;
        using RawClient client = server.Connect().AttachStructured();

        List<Chunk> chunks = client.CallStructured(NbdCommand.Read, Offset, Length);
        byte[] covered = new byte[Length];
        foreach (Chunk data in chunks.Where(c => c.Kind == ReplyChunk.OffsetData))
        {
            int at = (int)data.Offset - Offset;
            Assert.All(covered.AsSpan(at, data.Bytes.Length).ToArray(), b => Assert.Equal(0, b));
            covered.AsSpan(at, data.Bytes.Length).Fill(1);
            Assert.True(server.Device.Bytes.AsSpan((int)data.Offset, data.Bytes.Length).SequenceEqual(data.Bytes));
        }

        foreach (BlockRange range in ranges)
        {
            Assert.DoesNotContain((byte)1, covered.AsSpan((int)range.Offset - Offset, (int)range.Length).ToArray());
            covered.AsSpan((int)range.Offset - Offset, (int)range.Length).Fill(1);
        }

        Assert.DoesNotContain((byte)0, covered);
        Chunk[] errors = [.. chunks.Where(c => c.Kind == ReplyChunk.ErrorOffset)];
        Assert.Equal(ranges.Select(r => (ulong)r.Offset), errors.Select(c => c.ErrorOffset));
        Assert.All(errors, c => Assert.Equal((NbdError.InputOutput, 14), (c.Error, c.Data.Length)));
        Chunk whole = Assert.Single(client.CallStructured(NbdCommand.Read, Offset, Length, CommandFlags.DontFragment));
        Assert.Equal((ReplyChunk.ErrorOffset, (ulong)ranges[0].Offset), (whole.Kind, whole.ErrorOffset));

        using RawClient simple = server.Attach();
        Assert.Equal(NbdError.InputOutput, simple.Call(NbdCommand.Read, Offset, Length));
        Assert.Equal(NbdError.None, simple.Call(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task BLOCK_STATUS_tells_runs_in_order_and_one_when_asked_for_one()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.Holes.AddRange([new BlockRange(0, 8 * Kibi), new BlockRange(64 * Kibi, 64 * Kibi)]);
        using RawClient client = server.Connect().AttachStructured("disk", "base:allocation");
        Chunk all = Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 0, 256 * Kibi));
        Assert.Equal(ReplyChunk.BlockStatus, all.Kind);
        Assert.Equal([0, 0, 0, 1], all.Data[..4]);
        Assert.Equal(
            [(8 * Kibi, HoleAndZero), (56 * Kibi, 0), (64 * Kibi, HoleAndZero), (128 * Kibi, 0)], all.Runs);
        Chunk one = Assert.Single(client.CallStructured(NbdCommand.BlockStatus, 4 * Kibi, 256 * Kibi, CommandFlags.RequireOne));
        Assert.Equal([(4 * Kibi, HoleAndZero)], one.Runs);
    }

    [Theory]
    [InlineData(0UL, 0U)]
    [InlineData((ulong)TestServer.SizeBytes, 1U)]
    [InlineData(1UL, (uint)TestServer.SizeBytes)]
    [InlineData(ulong.MaxValue, 2U)]
    public async Task BLOCK_STATUS_of_nothing_or_beyond_the_end_is_invalid(ulong offset, uint length)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachStructured("disk", "base:allocation");
        Assert.Equal(NbdError.Invalid, Assert.Single(client.CallStructured(NbdCommand.BlockStatus, offset, length)).Error);
    }

    // Many replies of all kinds at once, completed at random, in batches that copy and batches that gather.
    [Fact]
    public async Task Replies_of_all_kinds_stay_whole_when_they_are_mixed()
    {
        await using TestServer server = await TestServer.StartAsync();
        var random = new Random(9);
        random.NextBytes(server.Device.Bytes);
        server.Device.Holes.Add(new BlockRange(100 * Kibi, 100 * Kibi));
        Array.Clear(server.Device.Bytes, 100 * Kibi, 100 * Kibi);
        using RawClient client = server.Connect().AttachStructured("disk", "base:allocation");
        for (int round = 0; round < 20; round++)
        {
            var expected = new Dictionary<ulong, (NbdCommand Command, int Offset, byte[] Bytes)>();
            for (ulong cookie = 0; cookie < 60; cookie++)
            {
                NbdCommand command = random.Next(4) == 0 ? NbdCommand.BlockStatus : NbdCommand.Read;
                int length = 1 << random.Next(0, 18);
                int offset = random.Next(0, 300 * Kibi);
                expected[cookie] = (command, offset, new byte[length]);
                client.Request(command, cookie, (ulong)offset, (uint)length);
            }

            while (expected.Count > 0)
            {
                Chunk chunk = client.ReadChunk();
                var (command, offset, bytes) = expected[chunk.Cookie];
                if (chunk.Kind == ReplyChunk.OffsetData) chunk.Bytes.CopyTo(bytes, (int)chunk.Offset - offset);
                if (!chunk.IsLast) continue;
                expected.Remove(chunk.Cookie);
                if (command == NbdCommand.BlockStatus) Assert.Equal(bytes.Length, chunk.Runs.Sum(run => run.Length));
                else Assert.True(server.Device.Bytes.AsSpan(offset, bytes.Length).SequenceEqual(bytes));
            }
        }
    }
}
