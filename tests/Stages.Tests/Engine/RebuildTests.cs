using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// Checkpoints are lost or damaged: the store comes back exactly as it was committed, or says that it does not.
public sealed class RebuildTests
{
    private const int Bytes = 2 << 20;

    [Fact]
    public async Task A_store_that_lost_every_checkpoint_comes_back_byte_for_byte()
    {
        await using var bench = new StoreBench();
        Dictionary<string, byte[]> images = await LiveThroughYearsAsync(bench);
        Lose(bench, ChainNames.CheckpointPrefix);
        string[] before = Contents(bench);

        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
        RebuildReport found = await bench.RebuildAsync(applies: false);
        Assert.Equal(RebuildOutcome.Restorable, found.Outcome);
        Assert.Equal(images.Keys.Order(), found.Exports.Select(export => export.Name).Order());
        Assert.Equal(before, Contents(bench));

        RebuildReport done = await bench.RebuildAsync(applies: true);
        Assert.Equal(RebuildOutcome.Restored, done.Outcome);
        Assert.Equal(found.Steps, done.Steps);
        await CheckAsync(bench, images);
        Assert.Equal(RebuildOutcome.Whole, (await bench.RebuildAsync(applies: true)).Outcome);
    }

    [Fact]
    public async Task Without_checkpoints_and_copies_nothing_is_shown_and_nothing_is_touched()
    {
        await using var bench = new StoreBench();
        await LiveThroughYearsAsync(bench);
        Lose(bench, ChainNames.CheckpointPrefix);
        Lose(bench, ChainNames.CheckpointCopyPrefix);
        string[] before = Contents(bench);

        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
        AssertUntouched(await bench.RebuildAsync(applies: true), before, bench);
    }

    // No seal and no distance in the chain gives it away, but the pages of the map do.
    [Fact]
    public async Task A_store_of_one_term_that_lost_its_checkpoints_does_not_look_new()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes, DurabilityLevel.Published);
        for (byte round = 1; round < 10; round++)
        {
            await disk.FillAsync(0, 100_000, round);
            await disk.FlushAsync();
        }

        await StoreBench.UntilAsync(() => bench.Objects.Peek(ChainNames.Table(new ChainPosition(1, 1))) is null && store.Store.Space.WaitingObjects == 0);
        await bench.CrashAsync(store, loseWal: true);
        Lose(bench, ChainNames.CheckpointPrefix);
        Lose(bench, ChainNames.CheckpointCopyPrefix);
        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_damaged_checkpoint_is_replaced_by_its_copy_and_the_other_way_round(bool isCopy)
    {
        await using var bench = new StoreBench();
        Dictionary<string, byte[]> images = await LiveThroughYearsAsync(bench);
        string damaged = bench.Objects.Keys(isCopy ? ChainNames.CheckpointCopyPrefix : ChainNames.CheckpointPrefix)[^1];
        byte[] good = bench.Objects.Peek(damaged)!;
        bench.Objects.FlipByte(damaged, 300);

        if (!isCopy) await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
        RebuildReport done = await bench.RebuildAsync(applies: true);
        Assert.Equal(RebuildOutcome.Restored, done.Outcome);
        Assert.Equal([new RebuildStep("replace", damaged)], done.Steps);
        Assert.Equal(good, bench.Objects.Peek(damaged));
        await CheckAsync(bench, images);
    }

    // The checkpoint before it does only if nothing has been deleted since, which the test cannot know: then everything is
    // there, and otherwise nothing is changed.
    [Fact]
    public async Task Old_data_is_not_shown_when_the_newest_checkpoint_is_lost_in_both_places()
    {
        await using var bench = new StoreBench();
        Dictionary<string, byte[]> images = await LiveThroughYearsAsync(bench);
        foreach (string prefix in (string[])[ChainNames.CheckpointPrefix, ChainNames.CheckpointCopyPrefix])
            bench.Objects.Truncate(bench.Objects.Keys(prefix)[^1], 200);
        string[] before = Contents(bench);

        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
        RebuildReport report = await bench.RebuildAsync(applies: true);
        if (report.Outcome == RebuildOutcome.Restored) await CheckAsync(bench, images);
        else AssertUntouched(report, before, bench);
    }

    // The table that a seal of a later epoch proves to have been there.
    [Fact]
    public async Task A_hole_in_the_chain_is_not_taken_for_its_end()
    {
        await using var bench = new StoreBench();
        for (int term = 1; term <= 3; term++)
        {
            RunningStore store = await bench.OpenAsync($"host {term}");
            TestDisk disk = await store.AttachAsync("disk", Bytes, DurabilityLevel.Published);
            await disk.FillAsync(0, 4096, (byte)term);
            await disk.FlushAsync();
            await bench.CrashAsync(store);
        }

        string table = bench.TableKeys[^2];
        byte[] body = bench.Objects.Peek(table)!;
        bench.Objects.Remove(table);
        await StoreBench.RefusesAsync(FaultKind.Corrupt, () => bench.OpenAsync("another host"));
        bench.Objects.Plant(table, body);
        RunningStore whole = await bench.OpenAsync("another host");
        Assert.Equal(3, (await whole.Find("disk", new byte[Bytes]).ReadAsync(0, 1))[0]);
    }

    // The writer is killed between a checkpoint and its copy: whoever comes next makes the copy before it deletes anything.
    [Fact]
    public async Task Nothing_is_deleted_before_the_checkpoint_that_lets_it_go_has_its_copy()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { CheckpointTables = 1000, CheckpointIdle = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes, DurabilityLevel.Published);
        for (byte round = 1; round < 10; round++)
        {
            await disk.FillAsync(0, 100_000, round);
            await disk.FlushAsync();
        }

        await bench.CrashAsync(store);
        bench.Options = bench.Options with { CheckpointIdle = TimeSpan.FromMilliseconds(100) };
        bench.Objects.BeforeCall = static (call, stopping) =>
            call.Operation == StoreOperation.Create && ChainNames.TryParseCheckpointCopy(call.Key, out _)
                ? Task.Delay(Timeout.InfiniteTimeSpan, stopping)
                : Task.CompletedTask;
        int tables = bench.TableKeys.Count;
        store = await bench.OpenAsync();
        await StoreBench.UntilAsync(() => bench.Objects.Keys(ChainNames.CheckpointPrefix).Count > 0);
        await bench.CrashAsync(store);
        Assert.True(bench.TableKeys.Count >= tables);
        Assert.Empty(bench.Objects.Keys(ChainNames.CheckpointCopyPrefix));

        bench.Objects.BeforeCall = null;
        bench.Options = bench.Options with { CheckpointIdle = TimeSpan.FromHours(1) };
        store = await bench.OpenAsync();
        await StoreBench.UntilAsync(() => bench.TableKeys.Count < tables && store.Store.Space.WaitingObjects == 0);
        await bench.CrashAsync(store);
        Lose(bench, ChainNames.CheckpointPrefix);
        Assert.Equal(RebuildOutcome.Restored, (await bench.RebuildAsync(applies: true)).Outcome);
        await CheckAsync(bench, new Dictionary<string, byte[]> { ["disk"] = disk.Image });
    }

    // Kills at any moment, each time with the loss of every checkpoint.
    [Theory]
    [InlineData(41)]
    [InlineData(42)]
    [InlineData(43)]
    public async Task Kills_that_take_every_checkpoint_along_lose_nothing(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        var random = new Random(seed);
        byte[] image = new byte[Bytes];
        int restored = 0;
        for (int round = 0; round < 8; round++)
        {
            RunningStore store = await bench.OpenAsync();
            TestDisk disk = await store.AttachAsync("disk", Bytes, DurabilityLevel.Published, image);
            await disk.CheckAllAsync();
            bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(4), ReplyLostRate = 0.03 };
            await OverwriteAsync(disk, random, random.Next(50, 200));
            await disk.FlushAsync();
            await bench.CrashAsync(store, loseWal: true);
            bench.Objects.Faults = StoreFaults.None;
            Lose(bench, ChainNames.CheckpointPrefix);
            RebuildReport done = await bench.RebuildAsync(applies: true);
            Assert.NotEqual(RebuildOutcome.Lost, done.Outcome);
            if (done.Outcome == RebuildOutcome.Restored) restored++;
        }

        Assert.True(restored > 3, $"Only {restored} rounds had checkpoints to lose.");
        await CheckAsync(bench, new Dictionary<string, byte[]> { ["disk"] = image });
    }

    // Overwrites, trims, a snapshot, a clone, a rollback and a deletion, settled and collected; and a table behind it all.
    private static async Task<Dictionary<string, byte[]>> LiveThroughYearsAsync(StoreBench bench)
    {
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        var random = new Random(7);
        TestDisk gone = await store.AttachAsync("gone", Bytes);
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await OverwriteAsync(gone, random, 50);
        await OverwriteAsync(disk, random, 200);
        await store.Store.DeleteExportAsync("gone", force: true, StoreBench.Cancellation);
        await store.Store.CreateSnapshotsAsync(["disk"], "s", StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        byte[] then = [.. disk.Image];
        await store.Store.CloneAsync("disk@s", "clone", null, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        TestDisk clone = store.Find("clone", [.. then]);
        for (int round = 0; round < 4; round++)
        {
            await OverwriteAsync(disk, random, 150);
            await OverwriteAsync(clone, random, 50);
        }

        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        await StoreBench.UntilAsync(() => store.Store.Space is { SettledBytes: > 0, WaitingObjects: 0 } &&
                                          bench.Objects.Peek(ChainNames.Table(new ChainPosition(1, 1))) is null);

        // From here on no checkpoint: the last writes are told by tables alone.
        await bench.CrashAsync(store);
        bench.Options = bench.Options with { CheckpointTables = 1000, CheckpointIdle = TimeSpan.FromHours(1), MapBytes = 1 << 30 };
        store = await bench.OpenAsync();
        disk = store.Find("disk", disk.Image);
        clone = store.Find("clone", clone.Image);
        await OverwriteAsync(disk, random, 20);
        await disk.ZeroAsync(100_000, 500_000);
        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        await bench.CrashAsync(store);
        return new Dictionary<string, byte[]> { ["disk"] = disk.Image, ["disk@s"] = then, ["clone"] = clone.Image };
    }

    private static async Task CheckAsync(StoreBench bench, Dictionary<string, byte[]> images)
    {
        RunningStore store = await bench.OpenAsync("another host");
        Assert.Equal(images.Keys.Order(), store.Store.List().Select(info => info.Name).Order());
        foreach (var (name, image) in images) await store.Find(name, image).CheckAllAsync();
        ScrubReport report = await store.Store.ScrubAsync(new ScrubOptions(), static _ => { }, StoreBench.Cancellation);
        Assert.Empty(report.Findings);
        await store.DisposeAsync();
    }

    private static void AssertUntouched(RebuildReport report, string[] before, StoreBench bench)
    {
        Assert.Equal(RebuildOutcome.Lost, report.Outcome);
        Assert.Equal(before, Contents(bench));
    }

    private static void Lose(StoreBench bench, string prefix)
    {
        foreach (string key in bench.Objects.Keys(prefix)) bench.Objects.Remove(key);
    }

    private static string[] Contents(StoreBench bench) =>
        [.. bench.Objects.Keys().Select(key => $"{key} {bench.Objects.Peek(key)!.Length}")];

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            long at = random.Next(Bytes / 8192) * 8192L;
            if (random.Next(8) == 0)
            {
                await disk.ZeroAsync(at, Math.Min(Bytes - at, 65536));
                continue;
            }

            byte[] bytes = new byte[8192];
            random.NextBytes(bytes);
            await disk.WriteAsync(at, bytes);
        }
    }
}
