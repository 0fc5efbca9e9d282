using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class OpeningTests
{
    // The crash comes right before, or right after, the seal takes effect; and then once more, to see that the notes
    // of failed starts do not get in each other's way.
    [Theory]
    [InlineData(true, 1)]
    [InlineData(true, 3)]
    [InlineData(false, 1)]
    [InlineData(false, 3)]
    public async Task A_crash_around_the_seal_of_a_start_loses_nothing_of_the_WAL(bool beforeSeal, int crashes)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(1000, 200_000, 1);
        await bench.CrashAsync(store);

        int seals = bench.Objects.Keys("chain/").Count;
        for (int i = 1; i <= crashes; i++)
        {
            Func<StoreCall, CancellationToken, Task> crash = (call, _) =>
                call.Operation == StoreOperation.Create && call.Key.StartsWith("chain/", StringComparison.Ordinal)
                    ? throw new InvalidOperationException("killed")
                    : Task.CompletedTask;
            if (beforeSeal) bench.Objects.BeforeCall = crash;
            else bench.Objects.AfterCall = crash;
            await Assert.ThrowsAsync<InvalidOperationException>(() => bench.OpenAsync());
            Assert.Equal(beforeSeal ? seals : seals + i, bench.Objects.Keys("chain/").Count);
            bench.Objects.BeforeCall = null;
            bench.Objects.AfterCall = null;
        }

        RunningStore again = await bench.OpenAsync();
        await again.Find("disk", disk.Image).CheckAllAsync();
    }

    // A checkpoint that the last process had sent lands when the seal of the next one stands: the takeover starts over,
    // and meets its own seal. Found by the simulation.
    [Fact]
    public async Task A_start_that_starts_over_behind_its_own_seal_still_knows_its_WAL()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { CheckpointTables = 1 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(1000, 200_000, 1);
        for (int i = 0; i < 500 && (bench.Objects.Keys("checkpoint/").Count == 0 || store.Store.Status.DirtyBytes > 0); i++)
            await Task.Delay(10, StoreBench.Cancellation);
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        await disk.FillAsync(50_000, 100_000, 2);
        await bench.CrashAsync(store);
        bench.Objects.Outage = null;

        string newest = bench.Objects.Keys("checkpoint/")[^1];
        byte[] late = bench.Objects.Peek(newest)!;
        bench.Objects.Remove(newest);

        // Its copy would not have been sent yet.
        foreach (string copy in bench.Objects.Keys("root/")) bench.Objects.Remove(copy);
        bench.Objects.AfterCall = (call, _) =>
        {
            bool isSeal = call.Operation == StoreOperation.Create && call.Key.StartsWith("chain/", StringComparison.Ordinal);
            if (isSeal) bench.Objects.Plant(newest, late);
            return Task.CompletedTask;
        };

        RunningStore again = await bench.OpenAsync();

        bench.Objects.AfterCall = null;
        Assert.NotNull(bench.Objects.Peek(newest));
        await again.Find("disk", disk.Image).CheckAllAsync();
    }

    // Killed between the start and its first write, again and again: the records of the first run travel along.
    [Fact]
    public async Task Starts_that_are_killed_before_they_publish_keep_the_records_of_earlier_runs()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1), DirtyMemoryBytes = 64 * 1024 };
        byte[] image = new byte[4 << 20];
        for (int run = 1; run <= 5; run++)
        {
            RunningStore store = await bench.OpenAsync();
            TestDisk disk = await store.AttachAsync("disk", image: image);
            await disk.CheckAllAsync();
            if (run % 2 == 1) await disk.FillAsync(run * 100_000, 150_000, (byte)run);
            await bench.CrashAsync(store);
        }

        await (await bench.OpenAsync()).Find("disk", image).CheckAllAsync();
    }

    [Fact]
    public async Task A_store_of_ten_thousand_tables_opens_and_one_with_a_checkpoint_reads_only_what_is_behind_it()
    {
        const int Tables = 10_000;
        await using var bench = new StoreBench();
        StoreOptions options = bench.Options;
        bench.Options = options with { TableBytes = 512, CheckpointTables = int.MaxValue, WalBytes = 256 << 20 };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        var random = new Random(1);
        for (int i = 0; i < Tables; i++) await disk.FillAsync(random.Next(8192) * 512, 512, (byte)random.Next(1, 256));
        Assert.True((await store.StopAsync(TimeSpan.FromHours(1))).EverythingPublished);
        await store.DisposeAsync();
        Assert.True(bench.Objects.Keys("chain/").Count > Tables);

        bench.Options = options with { CheckpointTables = 20 };
        RunningStore second = await bench.OpenAsync();
        await second.Find("disk", disk.Image).CheckAllAsync();

        // The walk counts: the first commits behind it write a checkpoint.
        await second.Find("disk", disk.Image).FillAsync(0, 512, 0x77);
        for (int i = 0; i < 1000 && bench.Objects.Keys("checkpoint").Count == 0; i++)
            await Task.Delay(10, StoreBench.Cancellation);
        Assert.True((await second.StopAsync(TimeSpan.FromHours(1))).EverythingPublished);
        await second.DisposeAsync();
        Assert.NotEmpty(bench.Objects.Keys("checkpoint"));

        int before = bench.Objects.Calls.Count;
        RunningStore third = await bench.OpenAsync();
        Assert.InRange(bench.Objects.Calls.Count - before, 1, 25);
        await third.Find("disk", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task The_WAL_of_another_store_is_refused_in_one_clear_sentence()
    {
        await using var bench = new StoreBench();
        await using var other = new StoreBench();
        await (await bench.OpenAsync()).DisposeAsync();
        await (await other.OpenAsync()).DisposeAsync();
        File.Copy(Path.Combine(other.WalOf("a"), "term"), Path.Combine(bench.WalOf("a"), "term"), overwrite: true);
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync());
        Assert.Equal(FaultKind.Invalid, fault.Kind);
        Assert.Contains("holds the WAL of another store", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_its_bucket_a_store_says_after_a_while_that_it_cannot_be_opened()
    {
        await using var bench = new StoreBench();
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        StorageFaultException away = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync());
        Assert.Equal(FaultKind.Unavailable, away.Kind);
        bench.Objects.Outage = ObjectStoreErrorKind.Denied;
        StorageFaultException denied = await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync());
        Assert.Equal(FaultKind.Denied, denied.Kind);
        bench.Objects.Outage = null;
        await bench.OpenAsync();
    }
}
