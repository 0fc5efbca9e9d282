using System.Buffers.Binary;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Nbd.Tests.Transmissions;

// doc/proto.md of the branch extension-ext-header: requests and replies with headers of 32 bytes.
public sealed class ExtendedHeaderTests
{
    private const int Kibi = 1024;
    private const ulong HoleAndZero = 3;
    private const CommandFlags Payload = CommandFlags.PayloadLength;

    [Fact]
    public async Task Bytes_come_back_and_every_reply_is_a_chunk_that_names_the_offset_of_its_request()
    {
        await using TestServer server = await TestServer.StartAsync();
        byte[] bytes = new byte[200 * Kibi];
        new Random(1).NextBytes(bytes);
        using RawClient client = server.Connect().AttachExtended();
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Write, 777, (ulong)bytes.Length, Payload, bytes));
        ExtendedChunk read = Assert.Single(client.CallExtended(NbdCommand.Read, 777, (ulong)bytes.Length));
        Assert.Equal((ReplyChunk.OffsetData, 777UL), (read.Kind, BinaryPrimitives.ReadUInt64BigEndian(read.Data)));
        Assert.True(bytes.AsSpan().SequenceEqual(read.Data.AsSpan(8)));
        foreach (NbdCommand command in (NbdCommand[])[NbdCommand.Flush, NbdCommand.Trim, NbdCommand.Cache, NbdCommand.WriteZeroes])
            Assert.Equal(NbdError.None, client.CallExtendedForError(command, 0, 4096));
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError((NbdCommand)77, 5, 4096));
        client.Send(ExtendedHeaders.RequestBytes(NbdCommand.Disconnect, 1, 0, 0));
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Holes_and_damage_are_told_as_in_structured_replies()
    {
        await using TestServer server = await TestServer.StartAsync();
        new Random(2).NextBytes(server.Device.Bytes);
        server.Device.Holes.Add(new BlockRange(64 * Kibi, 64 * Kibi));
        using RawClient client = server.Connect().AttachExtended();
        List<ExtendedChunk> chunks = client.CallExtended(NbdCommand.Read, 32 * Kibi, 128 * Kibi);
        Assert.Equal([ReplyChunk.OffsetData, ReplyChunk.OffsetHole, ReplyChunk.OffsetData], chunks.Select(c => c.Kind));
        Assert.Equal([.. RawClient.U64(64 * Kibi), .. RawClient.U32(64 * Kibi)], chunks[1].Data);

        server.Device.Damage = [new BlockRange(40 * Kibi, Kibi)];
        chunks = client.CallExtended(NbdCommand.Read, 32 * Kibi, 16 * Kibi);
        Assert.Equal([ReplyChunk.OffsetData, ReplyChunk.ErrorOffset, ReplyChunk.OffsetData], chunks.Select(c => c.Kind));
        Assert.Equal([.. RawClient.U32(5), .. RawClient.U16(0), .. RawClient.U64(40 * Kibi)], chunks[1].Data);
    }

    // Goal: the length of what needs no payload has 64 bits, and one request does it.
    [Fact]
    public async Task Commands_without_payload_take_lengths_beyond_32_bits()
    {
        const long Size = 1L << 43;
        await using TestServer server = await TestServer.StartAsync(
            null, null, TestServer.Export("disk", TestServer.SizeBytes), TestServer.Export("large", sizeBytes: 0));
        MemoryDevice large = server.Devices[1];
        large.Info = large.Info with { SizeBytes = Size };
        large.KeepsLog = true;
        using RawClient client = server.Connect().AttachExtended("large", "base:allocation");
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Trim, 4096, Size - 4096));
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.WriteZeroes, 0, Size, CommandFlags.FastZero));
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Cache, 1UL << 40, 1UL << 41));
        Assert.Equal(
            [$"zero 4096 {Size - 4096}", $"zero 0 {Size}", $"prefetch {1L << 40} {1L << 41}"], large.Log);

        large.Holes.Add(new BlockRange(1L << 33, 1L << 40));
        (ulong Length, ulong Flags)[] runs = Assert.Single(client.CallExtended(NbdCommand.BlockStatus, 1 << 30, 1UL << 42)).Runs;
        Assert.Equal(((1UL << 33) - (1 << 30), 0UL), runs[0]);
        Assert.Equal(HoleAndZero, runs[1].Flags);
        Assert.InRange(runs[1].Length, 1UL << 32, 1UL << 40);
    }

    [Theory]
    [InlineData(TestServer.SizeBytes, 1UL)]
    [InlineData(1UL, TestServer.SizeBytes)]
    [InlineData(ulong.MaxValue, 2UL)]
    [InlineData(2UL, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    [InlineData(0UL, 1UL << 63)]
    [InlineData(4096UL, (1UL << 63) - 1)]
    public async Task Ranges_beyond_the_end_are_refused_however_they_wrap(ulong offset, ulong length)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachExtended("disk", "base:allocation");
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError(NbdCommand.Read, offset, length));
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError(NbdCommand.Trim, offset, length));
        Assert.Equal(NbdError.NoSpace, client.CallExtendedForError(NbdCommand.WriteZeroes, offset, length));
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError(NbdCommand.BlockStatus, offset, length));
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError(NbdCommand.Cache, offset, length));
        Assert.Equal(0, server.Device.Started);
    }

    // A payload is what the flag says, whatever the command: it is consumed, and the next request is understood.
    [Fact]
    public async Task A_payload_where_none_belongs_is_consumed_and_refused()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachExtended();
        foreach (NbdCommand command in (NbdCommand[])
                 [NbdCommand.Read, NbdCommand.Flush, NbdCommand.Trim, NbdCommand.Cache, NbdCommand.WriteZeroes, NbdCommand.BlockStatus, (NbdCommand)99])
        {
            Assert.Equal(NbdError.Invalid, client.CallExtendedForError(command, 0, 3, Payload, 1, 2, 3));
            Assert.Equal(NbdError.Invalid, client.CallExtendedForError(command, 0, 70_000, Payload, new byte[70_000]));
        }

        Assert.Equal(NbdError.NoSpace, client.CallExtendedForError(NbdCommand.Write, TestServer.SizeBytes, 3, Payload, 1, 2, 3));
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Write, 0, 0, Payload));
        Assert.Equal(0, server.Device.Started);
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task A_WRITE_without_the_flag_has_no_payload_and_is_refused()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachExtended();
        Assert.Equal(NbdError.Invalid, client.CallExtendedForError(NbdCommand.Write, 0, 4096));
        Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Flush, 0, 0));
    }

    [Fact]
    public async Task A_payload_beyond_reason_ends_the_connection_and_a_large_one_does_not()
    {
        await using TestServer server = await TestServer.StartAsync();
        using (RawClient client = server.Connect().AttachExtended())
        {
            byte[] large = new byte[33 << 20];
            Assert.Equal(NbdError.NoSpace, client.CallExtendedForError(NbdCommand.Write, 0, (ulong)large.Length, Payload, large));
            client.Send(ExtendedHeaders.RequestBytes(NbdCommand.Write, 1, 0, 1UL << 40, Payload));
            Assert.True(client.IsClosedByServer());
        }

        using RawClient compact = server.Attach();
        Assert.Equal(NbdError.Invalid, compact.Call(NbdCommand.Write, 0, 3, Payload, 1, 2, 3));
    }

    [Theory]
    [InlineData(0x25609513u)]
    [InlineData(0u)]
    public async Task A_wrong_magic_ends_the_connection(uint magic)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Connect().AttachExtended();
        client.Send([.. RawClient.U32(magic), .. new byte[28]]);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task A_block_status_is_about_the_contexts_that_its_payload_names()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.Holes.Add(new BlockRange(0, 8 * Kibi));
        using RawClient client = server.Connect().AttachExtended("disk", "base:allocation");
        ExtendedChunk all = Assert.Single(client.CallExtended(NbdCommand.BlockStatus, 0, 32 * Kibi));
        Assert.Equal((ReplyChunk.BlockStatusExtended, 1U), (all.Kind, all.Context));
        Assert.Equal([(8 * Kibi, HoleAndZero), (24 * Kibi, 0)], all.Runs);
        byte[] one = [.. RawClient.U64(32 * Kibi), .. RawClient.U32(1)];
        ExtendedChunk named = Assert.Single(client.CallExtended(NbdCommand.BlockStatus, 0, 12, Payload, one));
        Assert.Equal(all.Data, named.Data);
        named = Assert.Single(client.CallExtended(NbdCommand.BlockStatus, 0, 12, Payload | CommandFlags.RequireOne, one));
        Assert.Equal([(8 * Kibi, HoleAndZero)], named.Runs);

        byte[][] wrong =
        [
            [.. RawClient.U64(4096)],
            [.. RawClient.U64(4096), 0, 0],
            [.. RawClient.U64(4096), .. RawClient.U32(0)],
            [.. RawClient.U64(4096), .. RawClient.U32(2)],
            [.. RawClient.U64(4096), .. RawClient.U32(1), .. RawClient.U32(1)],
            [.. RawClient.U64(0), .. RawClient.U32(1)],
            [.. RawClient.U64(ulong.MaxValue), .. RawClient.U32(1)],
            [.. RawClient.U64(4096), .. new byte[40_000]],
        ];
        foreach (byte[] payload in wrong)
        {
            Assert.Equal(
                NbdError.Invalid, client.CallExtendedForError(NbdCommand.BlockStatus, 0, (ulong)payload.Length, Payload, payload));
        }

        using RawClient without = server.Connect().AttachExtended();
        Assert.Equal(NbdError.Invalid, without.CallExtendedForError(NbdCommand.BlockStatus, 0, 12, Payload, one));
    }

    // Many at once, completed in any order: headers of both directions stay in step.
    [Fact]
    public async Task Requests_and_replies_of_all_kinds_stay_in_step_when_they_are_mixed()
    {
        await using TestServer server = await TestServer.StartAsync();
        var random = new Random(4);
        random.NextBytes(server.Device.Bytes);
        using RawClient client = server.Connect().AttachExtended("disk", "base:allocation");
        var expected = new Dictionary<ulong, (int Offset, byte[] Bytes)>();
        List<byte> requests = [];
        for (ulong cookie = 0; cookie < 400; cookie++)
        {
            int length = 1 << random.Next(0, 15), offset = random.Next(0, 4000 * Kibi);
            expected[cookie] = (offset, server.Device.Bytes[offset..(offset + length)]);
            requests.AddRange(random.Next(4) switch
            {
                0 => ExtendedHeaders.RequestBytes(NbdCommand.BlockStatus, cookie, (ulong)offset, (ulong)length),
                1 => ExtendedHeaders.RequestBytes(NbdCommand.Write, cookie, (ulong)offset, (ulong)length, Payload, expected[cookie].Bytes),
                2 => ExtendedHeaders.RequestBytes(NbdCommand.Flush, cookie, (ulong)offset, 0),
                _ => ExtendedHeaders.RequestBytes(NbdCommand.Read, cookie, (ulong)offset, (ulong)length),
            });
        }

        var sender = new Thread(() => client.Send([.. requests]));
        sender.Start();
        while (expected.Count > 0)
        {
            ExtendedChunk chunk = client.ReadExtendedChunk();
            (int offset, byte[] bytes) = expected[chunk.Cookie];
            Assert.Equal((ulong)offset, chunk.RequestOffset);
            Assert.True(chunk.IsLast);
            expected.Remove(chunk.Cookie);
            if (chunk.Kind == ReplyChunk.OffsetData) Assert.Equal(bytes, chunk.Data[8..]);
            else if (chunk.Kind == ReplyChunk.BlockStatusExtended) Assert.Equal((ulong)bytes.Length, Assert.Single(chunk.Runs).Length);
            else Assert.Equal(ReplyChunk.None, chunk.Kind);
        }

        sender.Join();
    }
}
