using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Chain;

public sealed class TakeoverTests
{
    private readonly ChainBench _bench = new();

    private static BlockRange Chunk(int index) => new((long)index * ChainBench.ChunkBytes, ChainBench.ChunkBytes);

    [Fact]
    public async Task A_new_store_begins_with_a_seal_in_epoch_zero()
    {
        ChainWriter writer = await _bench.TakeOverAsync();

        Assert.Equal(new ChainPosition(1, 0), writer.State.Position);
        Assert.Equal([ChainNames.Table(new ChainPosition(0, 1))], _bench.Objects.Keys("chain/"));
    }

    [Fact]
    public async Task The_next_writer_sees_what_was_committed_and_fences_the_old_one()
    {
        ChainWriter old = await _bench.TakeOverAsync();
        await old.CommitAsync(Chunk(0), 1);
        await old.CommitAsync(new BlockRange(100, 5000), 2);
        byte[] before = await _bench.ReadExportAsync(old.State);

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.Equal(before, await _bench.ReadExportAsync(next.State));
        Assert.Equal(old.Session, next.Taken.EndedSession);
        var fenced = await Assert.ThrowsAsync<StorageFaultException>(() => old.CommitAsync(Chunk(1), 3));
        Assert.Equal(FaultKind.Fenced, fenced.Kind);
        await next.CommitAsync(Chunk(1), 4);
        Assert.Equal(4, (await _bench.ReadExportAsync((await _bench.TakeOverAsync()).State))[Chunk(1).Offset]);
    }

    [Fact]
    public async Task Uploads_of_a_fenced_writer_that_land_behind_the_seal_are_never_seen()
    {
        ChainWriter old = await _bench.TakeOverAsync();
        await old.CommitAsync(Chunk(0), 1);
        await old.UploadAheadAsync(Chunk(2), 9, ahead: 2);

        ChainWriter next = await _bench.TakeOverAsync();
        await old.UploadAheadAsync(Chunk(3), 9, ahead: 3);
        await next.CommitAsync(Chunk(1), 2);

        byte[] image = await _bench.ReadExportAsync((await _bench.TakeOverAsync()).State);
        Assert.Equal([1, 2, 0, 0], new[] { 0, 1, 2, 3 }.Select(i => (int)image[Chunk(i).Offset]));
    }

    [Fact]
    public async Task A_seal_whose_reply_was_lost_counts_as_put()
    {
        ChainWriter old = await _bench.TakeOverAsync();
        await old.CommitAsync(Chunk(0), 1);
        _bench.Objects.FailNext(StoreFault.ReplyLost, matches: call => call.Operation == StoreOperation.Create);

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.Equal(old.Session, next.Taken.EndedSession);
        Assert.Equal(new ChainPosition(2, 0), next.State.Position);
        Assert.Equal(3, _bench.Objects.Keys("chain/").Count);
    }

    [Fact]
    public async Task A_table_that_beats_the_seal_is_committed()
    {
        ChainWriter old = await _bench.TakeOverAsync();
        await old.CommitAsync(Chunk(0), 1);
        bool raced = false;
        _bench.Objects.BeforeCall = async (call, _) =>
        {
            if (raced || call.Operation != StoreOperation.Create) return;
            raced = true;
            await old.CommitAsync(Chunk(1), 2);
        };

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.Equal(2, (await _bench.ReadExportAsync(next.State))[Chunk(1).Offset]);
        await Assert.ThrowsAsync<StorageFaultException>(() => old.CommitAsync(Chunk(2), 3));
    }

    // The walker reads the end of the chain; before its seal goes out, the living writer overwrites everything,
    // checkpoints, and deletes the very names at which the seal would stand.
    [Fact]
    public async Task A_seal_that_lands_in_a_hole_left_by_garbage_collection_is_void()
    {
        ChainWriter old = await _bench.TakeOverAsync();
        await old.CommitAsync(Chunk(0), 1);
        bool raced = false;
        _bench.Objects.BeforeCall = async (call, _) =>
        {
            if (raced || call.Operation != StoreOperation.Create) return;
            raced = true;
            for (byte stamp = 2; stamp <= 5; stamp++) await old.CommitAsync(Chunk(0), stamp);
            await old.CheckpointAsync();
            old.DeleteDeadTables();
        };

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.Equal(5, (await _bench.ReadExportAsync(next.State))[0]);
        await Assert.ThrowsAsync<StorageFaultException>(() => old.CommitAsync(Chunk(0), 6));
        await next.CommitAsync(Chunk(1), 7);
        Assert.Equal(7, (await _bench.ReadExportAsync((await _bench.TakeOverAsync()).State))[Chunk(1).Offset]);
    }

    [Fact]
    public async Task Seals_stay_when_everything_else_around_them_is_deleted_so_a_zombie_still_meets_its_own()
    {
        ChainWriter zombie = await _bench.TakeOverAsync();
        await zombie.CommitAsync(Chunk(0), 1);
        ChainWriter next = await _bench.TakeOverAsync();
        await next.CommitAsync(Chunk(0), 2);
        await next.CheckpointAsync();
        next.DeleteDeadTables();
        Assert.DoesNotContain(ChainNames.Table(new ChainPosition(1, 1)), _bench.Objects.Keys());

        var fenced = await Assert.ThrowsAsync<StorageFaultException>(() => zombie.CommitAsync(Chunk(0), 3));

        Assert.Equal(FaultKind.Fenced, fenced.Kind);
        Assert.Equal(2, (await _bench.ReadExportAsync((await _bench.TakeOverAsync()).State))[0]);
    }

    [Fact]
    public async Task A_writer_that_always_wins_the_race_for_the_next_number_is_fenced_further_ahead()
    {
        ChainWriter busy = await _bench.TakeOverAsync();
        bool inside = false;
        int races = 0;
        _bench.Objects.BeforeCall = async (call, _) =>
        {
            if (inside || call.Operation != StoreOperation.Create) return;
            inside = true;
            races++;
            for (int i = 0; i < 4; i++) await Record.ExceptionAsync(() => busy.CommitAsync(Chunk(0), 1));
            inside = false;
        };

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.InRange(races, 4, 20);
        _bench.Objects.BeforeCall = null;
        var fenced = await Assert.ThrowsAsync<StorageFaultException>(() => busy.CommitAsync(Chunk(0), 2));
        Assert.Equal(FaultKind.Fenced, fenced.Kind);
        Assert.Equal(new ChainPosition(2, 0), next.State.Position);
        Assert.Equal(await _bench.ReadExportAsync(busy.State), await _bench.ReadExportAsync(next.State));
        Assert.Equal(busy.State.LastSequence, next.State.LastSequence);
    }

    // A writer that publishes every FLUSH makes several tables in the time that a successor needs to read one: the
    // successor never sees a free number. Found by the simulation.
    [Fact]
    public async Task A_writer_that_is_faster_than_the_walk_is_fenced_further_ahead()
    {
        ChainWriter busy = await _bench.TakeOverAsync();
        await busy.CommitAsync(Chunk(0), 1);
        bool inside = false;
        int reads = 0;
        _bench.Objects.BeforeCall = async (call, _) =>
        {
            if (inside || call.Operation is not (StoreOperation.Read or StoreOperation.Create)) return;
            inside = true;
            if (++reads > 500) throw new InvalidOperationException("The takeover does not end.");
            for (int i = 0; i < 2; i++) await Record.ExceptionAsync(() => busy.CommitAsync(Chunk(0), 1));
            inside = false;
        };

        ChainWriter next = await _bench.TakeOverAsync();

        _bench.Objects.BeforeCall = null;
        var fenced = await Assert.ThrowsAsync<StorageFaultException>(() => busy.CommitAsync(Chunk(0), 2));
        Assert.Equal(FaultKind.Fenced, fenced.Kind);
        Assert.Equal(new ChainPosition(2, 0), next.State.Position);
        Assert.Equal(busy.State.LastSequence, next.State.LastSequence);
    }

    // A seal that an earlier start left in a hole of the past must not lead a later one, whose walk began at an old
    // checkpoint, into an epoch of its own.
    [Fact]
    public async Task A_stray_seal_in_the_past_is_not_the_end_of_an_epoch()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        await writer.CommitAsync(Chunk(0), 1);
        await writer.CheckpointAsync();
        for (byte stamp = 2; stamp <= 5; stamp++) await writer.CommitAsync(Chunk(0), stamp);
        await writer.CheckpointAsync();
        writer.DeleteDeadTables();
        var hole = new ChainPosition(1, 2);
        _bench.Objects.Plant(ChainNames.Table(hole), SealObject.Create(_bench.Keys, hole, Guid.NewGuid(), new byte[32], 0));
        string newest = ChainNames.Checkpoint(writer.State.Position);
        byte[] checkpoint = _bench.Objects.Peek(newest)!;
        _bench.Objects.Remove(newest);
        _bench.Objects.BeforeCall = (call, _) =>
        {
            if (call.Operation == StoreOperation.Create) _bench.Objects.Plant(newest, checkpoint);
            return Task.CompletedTask;
        };

        ChainWriter next = await _bench.TakeOverAsync();

        Assert.Equal(new ChainPosition(2, 0), next.State.Position);
        Assert.Equal(5, (await _bench.ReadExportAsync(next.State))[0]);
        await Assert.ThrowsAsync<StorageFaultException>(() => writer.CommitAsync(Chunk(0), 6));
    }

    // The tables that the sleeper uploaded last are committed by its successor, overwritten, and deleted: the number at
    // which it would look for a seal is free.
    [Fact]
    public async Task A_writer_that_slept_does_not_take_a_name_that_garbage_collection_freed_for_proof()
    {
        ChainWriter sleeper = await _bench.TakeOverAsync();
        await sleeper.CommitAsync(Chunk(0), 1);
        ChainPosition seen = sleeper.State.Position;
        await sleeper.CommitAsync(Chunk(0), 2);
        ChainWriter next = await _bench.TakeOverAsync();
        await next.CommitAsync(Chunk(0), 3);
        await next.CheckpointAsync();
        next.DeleteDeadTables();

        var proof = new OwnershipProof(_bench.Patient, _bench.NewWalker(), sleeper.Session, () => seen);

        var fenced = await Assert.ThrowsAsync<StorageFaultException>(() => proof.RunAsync(CancellationToken.None));
        Assert.Equal(FaultKind.Fenced, fenced.Kind);
    }

    [Fact]
    public async Task A_writer_that_nobody_followed_proves_that_it_owns_the_store()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        await writer.CommitAsync(Chunk(0), 1);
        await writer.CheckpointAsync();
        ChainPosition seen = writer.State.Position;
        await writer.CommitAsync(Chunk(1), 1);

        await new OwnershipProof(_bench.Patient, _bench.NewWalker(), writer.Session, () => seen).RunAsync(CancellationToken.None);
    }

    [Fact]
    public async Task Of_servers_that_take_over_at_once_only_the_last_can_write()
    {
        ChainWriter[] writers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => Task.Run(() => _bench.TakeOverAsync())));
        ChainWriter winner = writers.MaxBy(w => w.State.Position.Epoch)!;

        Assert.Equal(6, writers.Select(w => w.State.Position.Epoch).Distinct().Count());
        foreach (ChainWriter loser in writers.Where(w => w != winner))
            await Assert.ThrowsAsync<StorageFaultException>(() => loser.CommitAsync(Chunk(0), 1));
        await winner.CommitAsync(Chunk(0), 2);
    }

    [Fact]
    public async Task An_upload_whose_reply_was_lost_is_recognised_as_ones_own()
    {
        ChainWriter writer = await _bench.TakeOverAsync();
        _bench.Objects.FailNext(StoreFault.ReplyLost, matches: call => call.Operation == StoreOperation.Create);

        await writer.CommitAsync(Chunk(0), 1);
        await writer.CommitAsync(Chunk(1), 2);

        byte[] image = await _bench.ReadExportAsync((await _bench.TakeOverAsync()).State);
        Assert.Equal([1, 2], new[] { 0, 1 }.Select(i => (int)image[Chunk(i).Offset]));
    }
}
