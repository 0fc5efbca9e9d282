using System.Buffers.Binary;
using ZeroFlow.Nbd.Protocol;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>What a <see cref="RawClient"/> says and hears once extended headers are agreed on.</summary>
internal static class ExtendedHeaders
{
    public static byte[] RequestBytes(
        NbdCommand command, ulong cookie, ulong offset, ulong length, CommandFlags flags = 0, params byte[] payload) =>
        [
            .. RawClient.U32(0x21e41c71), .. RawClient.U16((ushort)flags), .. RawClient.U16((ushort)command),
            .. RawClient.U64(cookie), .. RawClient.U64(offset), .. RawClient.U64(length), .. payload,
        ];

    /// <summary>Greets, asks for extended headers and contexts, and attaches an export.</summary>
    public static RawClient AttachExtended(this RawClient client, string name = "disk", params string[] contexts)
    {
        client.Greet();
        Assert.Equal((uint)NbdOptionReply.Ack, client.AskError(NbdOption.ExtendedHeaders));
        if (contexts.Length > 0)
            Assert.Equal(contexts.Length + 1, client.Ask(NbdOption.SetMetaContext, RawClient.MetaData(name, contexts)).Count);
        Assert.Equal((uint)NbdOptionReply.Ack, client.Ask(NbdOption.Go, RawClient.GoData(name))[^1].Reply);
        return client;
    }

    public static ExtendedChunk ReadExtendedChunk(this RawClient client)
    {
        byte[] header = client.Read(32);
        Assert.Equal(0x6e8a278cu, BinaryPrimitives.ReadUInt32BigEndian(header));
        int flags = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4));
        Assert.InRange(flags, 0, 1);
        return new ExtendedChunk(
            flags == 1,
            (ReplyChunk)BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6)),
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(8)),
            BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(16)),
            client.Read(checked((int)BinaryPrimitives.ReadUInt64BigEndian(header.AsSpan(24)))));
    }

    /// <summary>Sends one request and reads all chunks of its reply, which must name its cookie and its offset.</summary>
    public static List<ExtendedChunk> CallExtended(
        this RawClient client, NbdCommand command, ulong offset, ulong length, CommandFlags flags = 0,
        params byte[] payload)
    {
        const ulong Cookie = 0x0123_4567_89ab_cdef;
        client.Send(RequestBytes(command, Cookie, offset, length, flags, payload));
        List<ExtendedChunk> chunks = [];
        do
        {
            chunks.Add(client.ReadExtendedChunk());
            Assert.Equal((Cookie, offset), (chunks[^1].Cookie, chunks[^1].RequestOffset));
        }
        while (!chunks[^1].IsLast);
        return chunks;
    }

    /// <summary>Sends one request whose reply has no content, and returns its error.</summary>
    public static NbdError CallExtendedForError(
        this RawClient client, NbdCommand command, ulong offset, ulong length, CommandFlags flags = 0,
        params byte[] payload)
    {
        ExtendedChunk only = Assert.Single(client.CallExtended(command, offset, length, flags, payload));
        if (only.Kind == ReplyChunk.Error) return (NbdError)BinaryPrimitives.ReadUInt32BigEndian(only.Data);
        Assert.Equal((ReplyChunk.None, 0), (only.Kind, only.Data.Length));
        return NbdError.None;
    }
}

/// <summary>One chunk of an extended reply.</summary>
internal sealed record ExtendedChunk(bool IsLast, ReplyChunk Kind, ulong Cookie, ulong RequestOffset, byte[] Data)
{
    /// <summary>The context of a block status.</summary>
    public uint Context => BinaryPrimitives.ReadUInt32BigEndian(Data);

    /// <summary>The runs of a block status, as many as it says it has.</summary>
    public (ulong Length, ulong Flags)[] Runs
    {
        get
        {
            Assert.Equal(8 + (16 * BinaryPrimitives.ReadInt32BigEndian(Data.AsSpan(4))), Data.Length);
            return [.. Data[8..].Chunk(16).Select(run => (
                BinaryPrimitives.ReadUInt64BigEndian(run), BinaryPrimitives.ReadUInt64BigEndian(run.AsSpan(8))))];
        }
    }
}
