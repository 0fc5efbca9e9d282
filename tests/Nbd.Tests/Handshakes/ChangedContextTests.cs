using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Tests.Handshakes;

// The contexts zeroflow:changed:SNAPSHOT, one for each snapshot that an export can be compared with.
public sealed class ChangedContextTests
{
    private const int Kibi = 1024;
    private const string Allocation = "base:allocation";
    private const string Monday = "zeroflow:changed:monday";
    private const string Tuesday = "zeroflow:changed:tuesday";

    [Theory]
    [InlineData("disk", new string[0], new[] { Allocation, Monday, Tuesday })]
    [InlineData("disk", new[] { "zeroflow:" }, new[] { Monday, Tuesday })]
    [InlineData("disk", new[] { "zeroflow:changed:" }, new[] { Monday, Tuesday })]
    [InlineData("disk", new[] { "zeroflow:changed:tuesday", "base:" }, new[] { Allocation, Tuesday })]
    [InlineData("disk", new[] { "zeroflow:changed:sunday", "zeroflow:change" }, new string[0])]
    [InlineData("disk@monday", new[] { "zeroflow:" }, new[] { Tuesday })]
    [InlineData("other", new string[0], new[] { Allocation })]
    public async Task LIST_names_the_snapshots_of_the_same_export(string export, string[] queries, string[] expected)
    {
        await using TestServer server = await StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        Assert.Equal(
            expected.Select(name => (0u, name)), Contexts(client, NbdOption.ListMetaContext, export, queries));
        Assert.Empty(server.Directory.Comparisons);
    }

    // Namespaces select nothing, and numbers count from one.
    [Theory]
    [InlineData(new[] { Monday }, new[] { Monday })]
    [InlineData(new[] { Tuesday, "zeroflow:changed:", Allocation }, new[] { Allocation, Tuesday })]
    [InlineData(new[] { "zeroflow:", "zeroflow:changed:sunday" }, new string[0])]
    public async Task SET_selects_what_is_named_in_full(string[] queries, string[] expected)
    {
        await using TestServer server = await StartAsync();
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        Assert.Equal(
            expected.Select((name, i) => ((uint)i + 1, name)), Contexts(client, NbdOption.SetMetaContext, "disk", queries));
        Assert.Equal(expected.Count(name => name != Allocation), server.Directory.Comparisons.Count);
    }

    // Goal: a snapshot is in use exactly as long as a client that compares with it.
    [Fact]
    public async Task A_selection_lets_go_of_its_snapshots_when_it_is_replaced_and_with_its_client()
    {
        using var folder = new TlsFolder();
        await using TestServer server = await StartAsync(folder.Options(isRequired: false));
        using (RawClient client = server.Connect().Greet())
        {
            client.Ask(NbdOption.ExtendedHeaders);
            Contexts(client, NbdOption.SetMetaContext, "disk", Monday, Tuesday);
            Contexts(client, NbdOption.SetMetaContext, "disk", Monday);
            Assert.Equal("monday", Assert.Single(server.Directory.Comparisons).Snapshot);
            client.AskError(NbdOption.SetMetaContext, 1);
            Assert.Empty(server.Directory.Comparisons);
            Contexts(client, NbdOption.SetMetaContext, "disk", Monday);
            client.StartTls(folder.Authority);
            client.Ask(NbdOption.List);
            Assert.Empty(server.Directory.Comparisons);
            client.Ask(NbdOption.ExtendedHeaders);
            Contexts(client, NbdOption.SetMetaContext, "disk", Tuesday);
            client.Ask(NbdOption.Go, RawClient.GoData("disk"));
            Assert.Equal(NbdError.None, client.CallExtendedForError(NbdCommand.Flush, 0, 0));
            Assert.Single(server.Directory.Comparisons);
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Empty(server.Directory.Comparisons);
        using (RawClient leaves = server.Connect().Greet())
        {
            leaves.Ask(NbdOption.StructuredReply);
            Contexts(leaves, NbdOption.SetMetaContext, "disk", Monday);
        }

        await server.UntilConnectionsAreAsync(0);
        Assert.Empty(server.Directory.Comparisons);
    }

    [Fact]
    public async Task More_contexts_than_a_session_can_have_are_refused()
    {
        ExportInfo[] exports =
            [TestServer.Export("disk"), .. Enumerable.Range(0, 20).Select(i => Snapshot($"s{i}", (uint)i + 10))];
        await using TestServer server = await TestServer.StartAsync(null, null, exports);
        using RawClient client = server.Connect().Greet();
        client.Ask(NbdOption.StructuredReply);
        string[] names = [.. Enumerable.Range(0, 20).Select(i => $"zeroflow:changed:s{i}")];
        Assert.Equal(
            (uint)NbdOptionReply.ErrorTooBig, client.AskError(NbdOption.SetMetaContext, RawClient.MetaData("disk", names)));
        Assert.Equal(16, Contexts(client, NbdOption.SetMetaContext, "disk", names[..16]).Count);
        Assert.Equal(22, client.Ask(NbdOption.ListMetaContext, RawClient.MetaData("disk")).Count);
    }

    [Fact]
    public async Task BLOCK_STATUS_answers_every_context_with_a_chunk_of_its_own()
    {
        await using TestServer server = await StartAsync();
        server.Directory.Changed.AddRange([new BlockRange(4 * Kibi, Kibi), new BlockRange(90 * Kibi, 10 * Kibi)]);
        server.Device.Holes.Add(new BlockRange(0, 8 * Kibi));
        using (RawClient client = server.Connect().AttachStructured("disk", Allocation, Monday))
        {
            List<Chunk> chunks = client.CallStructured(NbdCommand.BlockStatus, 0, 64 * Kibi);
            Assert.Equal([1u, 2u], chunks.Select(c => BinaryPrimitives.ReadUInt32BigEndian(c.Data)));
            Assert.Equal([(8 * Kibi, 3), (56 * Kibi, 0)], chunks[0].Runs);
            Assert.Equal([(4 * Kibi, 0), (Kibi, 1), (59 * Kibi, 0)], chunks[1].Runs);
            chunks = client.CallStructured(NbdCommand.BlockStatus, 4 * Kibi, 64 * Kibi, CommandFlags.RequireOne);
            Assert.Equal([(4 * Kibi, 3), (Kibi, 1)], chunks.Select(c => Assert.Single(c.Runs)));
        }

        using RawClient extended = server.Connect().AttachExtended("disk", Allocation, Monday, Tuesday);
        List<ExtendedChunk> all = extended.CallExtended(NbdCommand.BlockStatus, 0, 64 * Kibi);
        Assert.Equal([1u, 2u, 3u], all.Select(c => c.Context));
        byte[] filter = [.. RawClient.U64(64 * Kibi), .. RawClient.U32(3), .. RawClient.U32(1)];
        List<ExtendedChunk> some = extended.CallExtended(NbdCommand.BlockStatus, 0, 16, CommandFlags.PayloadLength, filter);
        Assert.Equal([1u, 3u], some.Select(c => c.Context).Order());
        Assert.Equal([(4 * Kibi, 0), (Kibi, 1), (59 * Kibi, 0)], some.Single(c => c.Context == 3).Runs);
    }

    private static Task<TestServer> StartAsync(NbdServerOptions? options = null) => TestServer.StartAsync(
        options, null, TestServer.Export("disk"), Snapshot("monday", 2), Snapshot("tuesday", 3),
        TestServer.Export("other") with { Id = new ExportId(4) });

    private static ExportInfo Snapshot(string name, uint id) => TestServer.Export($"disk@{name}", 1024, isReadOnly: true) with
    {
        Id = new ExportId(id),
        Snapshot = new SnapshotInfo(new ExportId(1), name, DateTimeOffset.UnixEpoch),
    };

    private static List<(uint Id, string Name)> Contexts(
        RawClient client, NbdOption option, string export, params string[] queries)
    {
        List<(uint Reply, byte[] Data)> answers = client.Ask(option, RawClient.MetaData(export, queries));
        Assert.Equal((uint)NbdOptionReply.Ack, answers[^1].Reply);
        return [.. answers.SkipLast(1).Select(a => (
            BinaryPrimitives.ReadUInt32BigEndian(a.Data), Encoding.UTF8.GetString(a.Data.AsSpan(4))))];
    }
}
