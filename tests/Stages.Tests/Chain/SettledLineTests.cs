using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Chain;

namespace ZeroFlow.Stages.Tests.Chain;

// Settled bytes are older than what was committed after they were read, whatever happened to their writer meanwhile.
public sealed class SettledLineTests
{
    private const byte Old = 1;
    private const byte New = 2;

    private static readonly BlockRange Written = new(0, ChainBench.ChunkBytes);
    private static readonly BlockRange Settled = new(0, 2 * ChainBench.ChunkBytes);

    private readonly ChainBench _bench = new();

    // The table reaches the bucket, and its writer fails before it commits it, and makes a checkpoint all the same.
    [Fact]
    public async Task A_checkpoint_between_the_look_up_and_the_table_hides_no_newer_write()
    {
        ChainWriter writer = await WriteTwiceAsync();
        await writer.CheckpointAsync();
        await writer.SettleAsync(Settled, Old, new ChainPosition(1, 1), commits: false);

        await AssertIsNewAsync((await _bench.TakeOverAsync()).State);
    }

    // The same in the writer that makes the checkpoint, and commits the table behind it.
    [Fact]
    public async Task A_checkpoint_under_way_hides_no_newer_write_from_its_own_writer()
    {
        ChainWriter writer = await WriteTwiceAsync();
        await writer.CheckpointAsync();
        await writer.SettleAsync(Settled, Old, new ChainPosition(1, 1), commits: true);

        await AssertIsNewAsync(writer.State);
        await AssertIsNewAsync((await _bench.TakeOverAsync()).State);
    }

    // The rule, as it is without a checkpoint in between.
    [Fact]
    public async Task What_was_committed_after_the_look_up_stays()
    {
        ChainWriter writer = await WriteTwiceAsync();
        await writer.SettleAsync(Settled, Old, new ChainPosition(1, 1), commits: true);

        await AssertIsNewAsync(writer.State);
        Assert.Contains(writer.State.Tables.All(), static entry => entry.Table.Number == 3);
        await AssertIsNewAsync((await _bench.TakeOverAsync()).State);
    }

    // Looked up right behind the checkpoint, as every batch is: its bytes count, and the table that held them can go.
    [Fact]
    public async Task A_line_that_was_read_as_of_the_checkpoint_counts()
    {
        ChainWriter writer = await WriteTwiceAsync();
        await writer.CheckpointAsync();
        await writer.SettleAsync(Written, New, writer.State.Position, commits: true);
        await writer.CommitAsync(new BlockRange(2 * ChainBench.ChunkBytes, ChainBench.ChunkBytes), New);
        await writer.CheckpointAsync();

        Assert.Equal(0, writer.State.Tables.All().Single(static entry => entry.Table.ObjectKey == ChainNames.Table(new ChainPosition(1, 2))).Table.LiveBytes);
        writer.DeleteDeadTables();
        await AssertIsNewAsync((await _bench.TakeOverAsync()).State);
    }

    private async Task<ChainWriter> WriteTwiceAsync()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        await writer.CommitAsync(Settled, Old);
        await writer.CommitAsync(Written, New);
        return writer;
    }

    private async Task AssertIsNewAsync(StoreState state)
    {
        byte[] image = await _bench.ReadExportAsync(state);
        Assert.Equal(New, image[0]);
        Assert.Equal(New, image[Written.End - 1]);
        Assert.Equal(Old, image[Written.End]);
    }
}
