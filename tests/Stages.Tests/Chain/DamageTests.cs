using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Tests.Chain;

// Whatever is wrong with the chain, opening says so in one sentence and changes nothing.
public sealed class DamageTests
{
    private readonly ChainBench _bench = new();

    private static readonly string First = ChainNames.Table(new ChainPosition(1, 1));

    [Fact]
    public async Task A_flipped_byte_anywhere_in_a_table_is_found_by_opening_or_by_reading()
    {
        await CommitTwoAsync();
        byte[] whole = _bench.Objects.Peek(First)!;
        var random = new Random(5);
        for (int i = 0; i < 150; i++)
        {
            int at = random.Next(TableIdentity.Bytes, whole.Length);
            _bench.Objects.Plant(First, whole);
            _bench.Objects.FlipByte(First, at);

            var fault = await Assert.ThrowsAsync<StorageFaultException>(async () => await _bench.ReadExportAsync(await WalkAsync()));
            Assert.Contains(First, fault.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(160)]
    [InlineData(200)]
    [InlineData(500)]
    public async Task A_truncated_table_is_named(int bytes)
    {
        await CommitTwoAsync();
        _bench.Objects.Truncate(First, bytes);

        var fault = await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);

        Assert.Equal(FaultKind.Corrupt, fault.Kind);
        Assert.Contains(First, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_foreign_object_at_a_number_of_the_chain_is_named_and_other_names_are_ignored()
    {
        await CommitTwoAsync();
        _bench.Objects.Plant("chain/hello.txt", "hello"u8);
        _bench.Objects.Plant("README", "hello"u8);
        Assert.Equal(new ChainPosition(1, 2), (await WalkAsync()).Position);

        string next = ChainNames.Table(new ChainPosition(1, 3));
        _bench.Objects.Plant(next, new byte[300]);
        var fault = await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);

        Assert.Contains(next, fault.Message, StringComparison.Ordinal);
        Assert.Contains("not a ZeroFlow table", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_table_of_a_newer_format_asks_for_a_newer_program()
    {
        await CommitTwoAsync();
        byte[] whole = _bench.Objects.Peek(First)!;
        whole[8]++;
        whole[^(TableFooter.Bytes - 8)]++;
        _bench.Objects.Plant(First, whole);

        var fault = await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);

        Assert.Contains("newer", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_table_moved_to_another_number_or_store_does_not_open()
    {
        await CommitTwoAsync();
        byte[] second = _bench.Objects.Peek(ChainNames.Table(new ChainPosition(1, 2)))!;
        _bench.Objects.Plant(ChainNames.Table(new ChainPosition(1, 3)), second);
        var moved = await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);
        Assert.Contains("wrong name", moved.Message, StringComparison.Ordinal);
    }

    // Each frame is whole and sealed by this store; only its place is another's.
    [Fact]
    public async Task Frames_that_change_places_within_a_table_do_not_open()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        await writer.CommitAsync(new BlockRange(0, 2 * ChainBench.ChunkBytes), 7);
        StoreState state = await WalkAsync();
        await using FrameReader pages = _bench.AttachReader(state);
        var hits = new List<CommittedHit>();
        await state.Find(ChainBench.Export)!.Map.CollectAsync(new BlockRange(0, 2 * ChainBench.ChunkBytes), hits, CancellationToken.None);
        FrameRef one = hits[0].Frame!.Value, two = hits[1].Frame!.Value;
        Assert.Equal(one.SealedBytes, two.SealedBytes);
        string key = state.Tables.ObjectKeyOf(one.Key.Table);
        byte[] whole = _bench.Objects.Peek(key)!;
        byte[] swapped = [.. whole];
        whole.AsSpan((int)one.ObjectOffset, one.SealedBytes).CopyTo(swapped.AsSpan((int)two.ObjectOffset));
        whole.AsSpan((int)two.ObjectOffset, two.SealedBytes).CopyTo(swapped.AsSpan((int)one.ObjectOffset));
        _bench.Objects.Plant(key, swapped);

        var fault = await Assert.ThrowsAsync<StorageFaultException>(() => _bench.ReadExportAsync(state));

        Assert.Equal(FaultKind.Corrupt, fault.Kind);
    }

    [Fact]
    public async Task A_forged_seal_does_not_end_an_epoch()
    {
        await CommitTwoAsync();
        var at = new ChainPosition(1, 3);
        var other = new Keys.StoreKeys(_bench.Keys.StoreId, new byte[32].Select((_, i) => (byte)i).ToArray());
        _bench.Objects.Plant(ChainNames.Table(at), SealObject.Create(other, at, Guid.NewGuid(), new byte[32], 0));

        await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);
    }

    [Fact]
    public async Task A_checkpoint_restores_the_same_bytes_and_counts_and_any_flipped_byte_of_it_is_found()
    {
        ChainWriter writer = await CommitTwoAsync();
        await writer.CheckpointAsync();
        byte[] image = await _bench.ReadExportAsync(writer.State);
        StoreState restored = await WalkAsync();
        Assert.Equal(0, restored.TablesApplied);
        Assert.Equal(image, await _bench.ReadExportAsync(restored));
        Assert.Equal(
            writer.State.Tables.All().Select(t => t.Table.LiveBytes), restored.Tables.All().Select(t => t.Table.LiveBytes));

        string key = ChainNames.Checkpoint(writer.State.Position);
        byte[] whole = _bench.Objects.Peek(key)!;
        for (int at = 0; at < whole.Length; at += 7)
        {
            _bench.Objects.Plant(key, whole);
            _bench.Objects.FlipByte(key, at);
            await Assert.ThrowsAsync<StorageFaultException>(WalkAsync);
        }
    }

    private async Task<ChainWriter> CommitTwoAsync()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        await writer.CommitAsync(new BlockRange(1000, 30_000), 1);
        await writer.CommitAsync(new BlockRange(512, 100), 2);
        return writer;
    }

    private Task<StoreState> WalkAsync() => _bench.NewWalker().WalkAsync(CancellationToken.None);
}
