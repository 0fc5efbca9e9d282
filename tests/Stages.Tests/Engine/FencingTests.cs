using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// Two servers on one bucket, and processes that stood still for a while.
public sealed class FencingTests
{
    private static readonly TimeSpan Never = TimeSpan.FromDays(10);

    [Fact]
    public async Task The_second_server_has_the_committed_prefix_and_the_first_is_fenced_at_its_next_PUT()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk old = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await old.FillAsync(0, 100_000, 1);
        await old.FlushAsync();
        byte[] committed = [.. old.Image];
        await old.FillAsync(50_000, 100_000, 2);

        RunningStore second = await bench.OpenAsync("b");
        TestDisk current = second.Find("disk", committed);
        await current.CheckAllAsync();
        await AssertFencedAsync(old.FlushAsync());
        StorageFaultException cause = await first.Store.Fatal.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.Equal(FaultKind.Fenced, cause.Kind);
        Assert.True(first.Store.Status.IsFenced);
        await AssertFencedAsync(old.BeginWriteAsync(0, new byte[512]));
        await AssertFencedAsync(old.FlushAsync());
        await AssertFencedAsync(old.ZeroAsync(0, 512));
        await AssertFencedAsync(
            first.Store.EnsureExportAsync("new", 4096, DurabilityLevel.Journaled, StoreBench.Cancellation));

        // Reads of the first go on, of what it had.
        await old.CheckAllAsync();
        await current.FillAsync(0, 4096, 3);
        await current.FlushAsync();
        await current.CheckAllAsync();
    }

    // A start that puts its seal and dies before it sets its stale WAL aside must not make that WAL the store's own: the
    // next start would replay a lost history over the one that the second server published.
    [Fact]
    public async Task A_stale_WAL_stays_stale_when_a_start_dies_right_after_its_seal()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk old = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await old.FlushAsync();
        for (int i = 0; i < 20; i++) await old.FillAsync(i * 4096, 4096, 1);
        RunningStore second = await bench.OpenAsync("b");
        TestDisk current = second.Find("disk", new byte[old.Image.Length]);
        await current.FillAsync(8192, 4096, 2);
        await current.FlushAsync();
        await first.DisposeAsync();

        bool sealPut = false;
        bench.Objects.AfterCall = (call, _) =>
        {
            sealPut |= call.Operation == StoreOperation.Create && call.Key.StartsWith("chain/", StringComparison.Ordinal);
            return sealPut && call.Operation == StoreOperation.List
                ? throw new ObjectStoreException(ObjectStoreErrorKind.Invalid, "The process dies here.")
                : Task.CompletedTask;
        };
        await Assert.ThrowsAsync<StorageFaultException>(() => bench.OpenAsync("a"));
        Assert.True(sealPut);
        bench.Objects.AfterCall = null;

        RunningStore third = await bench.OpenAsync("a");
        await third.Find("disk", current.Image).CheckAllAsync();
        Assert.Single(Directory.GetDirectories(
            Path.GetDirectoryName(bench.WalOf("a"))!, Path.GetFileName(bench.WalOf("a")) + ".stale-*"));
    }

    [Fact]
    public async Task The_WAL_of_a_fenced_server_is_set_aside_and_not_replayed()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk old = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await old.FlushAsync();
        await old.FillAsync(0, 4096, 1);
        RunningStore second = await bench.OpenAsync("b");
        TestDisk current = second.Find("disk", new byte[old.Image.Length]);
        await current.FillAsync(8192, 4096, 2);
        await current.FlushAsync();
        await first.DisposeAsync();

        RunningStore third = await bench.OpenAsync("a");
        await third.Find("disk", current.Image).CheckAllAsync();
        string aside = Assert.Single(Directory.GetDirectories(
            Path.GetDirectoryName(bench.WalOf("a"))!, Path.GetFileName(bench.WalOf("a")) + ".stale-*"));
        Assert.NotEmpty(Directory.GetFiles(aside));

        // And it is the writer now.
        await current.FillAsync(0, 512, 3);
        await AssertFencedAsync(current.FlushAsync());
    }

    // The servers take the store from each other in turn; only what was flushed by its owner counts.
    [Fact]
    public async Task Servers_that_take_over_from_each_other_lose_nothing_that_was_published()
    {
        await using var bench = new StoreBench();
        byte[] image = new byte[4 << 20];
        for (int term = 1; term <= 6; term++)
        {
            RunningStore store = await bench.OpenAsync(term % 2 == 0 ? "a" : "b");
            TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published, image: image);
            await disk.CheckAllAsync();
            await disk.FillAsync(term * 10_000, 15_000, (byte)term);
            await disk.FlushAsync();
            Assert.Equal((uint)term, store.Store.Status.Epoch);
            await bench.CrashAsync(store);
        }
    }

    [Fact]
    public async Task After_a_stall_nothing_is_acknowledged_until_the_bucket_shows_that_nobody_took_over()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        await disk.FillAsync(0, 4096, 1);
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bench.Objects.BeforeCall = (_, _) => go.Task;
        bench.Time.Skip(bench.Options.StallThreshold * 2);
        Task flush = disk.FlushAsync();
        Task write = disk.FillAsync(4096, 4096, 2);
        await Task.Delay(200, StoreBench.Cancellation);
        Assert.False(flush.IsCompleted || write.IsCompleted);
        await disk.CheckAsync(0, 4096);

        go.SetResult();
        await Task.WhenAll(flush, write);
        await disk.FillAsync(8192, 4096, 3);
        await disk.CheckAllAsync();
        Assert.DoesNotContain(bench.Objects.Calls.TakeLast(1), c => c.Operation == StoreOperation.Create);
    }

    [Fact]
    public async Task A_server_that_was_fenced_while_it_stood_still_acknowledges_nothing_any_more()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk disk = await first.AttachAsync("disk");
        await disk.FillAsync(0, 4096, 1);
        await bench.OpenAsync("b");
        bench.Time.Skip(bench.Options.StallThreshold * 2);
        Task flush = disk.FlushAsync();
        Task write = disk.BeginWriteAsync(4096, new byte[4096]);
        await AssertFencedAsync(flush);
        await AssertFencedAsync(write);
        await AssertFatalAsync(first);
        await AssertFencedAsync(disk.BeginWriteAsync(0, new byte[512]));
    }

    // The bucket is away after the stall: there is no proof, so there is no answer, until it is back.
    [Fact]
    public async Task A_stall_followed_by_an_outage_holds_answers_back_until_the_bucket_is_back()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        bench.Time.Skip(bench.Options.StallThreshold * 2);
        Task write = disk.FillAsync(0, 4096, 1);
        await Task.Delay(200, StoreBench.Cancellation);
        Assert.False(write.IsCompleted);
        bench.Objects.Outage = null;
        await write;
        await disk.FlushAsync();
    }

    // Uploads of the old writer that were under way when it was fenced arrive behind the seal.
    [Fact]
    public async Task Late_uploads_of_a_fenced_server_change_nothing()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never, TableBytes = 64 * 1024 };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk old = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await old.FlushAsync();
        byte[] committed = [.. old.Image];
        string from = bench.Objects.Keys("chain/")[^1];
        var late = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        bool isFirst = true;
        bench.Objects.BeforeCall = (call, _) =>
            isFirst && call.Operation == StoreOperation.Create ? late.Task : Task.CompletedTask;
        for (int i = 0; i < 4; i++) await old.FillAsync(i * 65536, 65536, (byte)(i + 1));
        await Task.Delay(100, StoreBench.Cancellation);
        Assert.Equal(from, bench.Objects.Keys("chain/")[^1]);

        isFirst = false;
        RunningStore second = await bench.OpenAsync("b");
        late.SetResult();
        await AssertFatalAsync(first);
        TestDisk current = second.Find("disk", committed);
        await current.CheckAllAsync();
        await current.FillAsync(0, 512, 9);
        await current.FlushAsync();
        await bench.CrashAsync(second, loseWal: true);
        await (await bench.OpenAsync("b")).Find("disk", current.Image).CheckAllAsync();
    }

    // The next table is listed, and gone when it is read: a living writer has deleted it meanwhile.
    [Fact]
    public async Task A_table_that_is_deleted_under_a_takeover_makes_it_start_over()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = Never };
        RunningStore first = await bench.OpenAsync("a");
        TestDisk disk = await first.AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FlushAsync();
        string? raced = null;
        bench.Objects.BeforeCall = async (call, _) =>
        {
            if (raced is not null || call.Operation != StoreOperation.List || !char.IsDigit(call.Key[^1])) return;
            raced = call.Key;
            await disk.FillAsync(0, 4096, 1);
            await disk.FlushAsync();
            bench.Objects.FailNext(
                new StoreFault(ObjectStoreErrorKind.ObjectMissing), 1,
                c => c.Operation == StoreOperation.Read && c.Key == raced);
        };
        RunningStore second = await bench.OpenAsync("b");
        Assert.NotNull(bench.Objects.Peek(raced!));
        await second.Find("disk", disk.Image).CheckAllAsync();
    }

    // The old writer checkpoints and deletes tables at every turn, and is taken over from in the middle of it: what it
    // acknowledged as published last is what the new one finds, or the one write that was under way.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_takeover_from_a_writer_that_deletes_tables_loses_no_published_FLUSH(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { CheckpointTables = 2, DeleteGrace = TimeSpan.Zero };
        bench.Objects.Faults = new StoreFaults { LatencyMax = TimeSpan.FromMilliseconds(2), ReplyLostRate = 0.02 };
        var random = new Random(seed);
        RunningStore store = await bench.OpenAsync("host-0");
        TestDisk disk = await store.AttachAsync("disk", level: DurabilityLevel.Published);
        for (int term = 1; term <= 8; term++)
        {
            Task<int> load = Task.Run(() => CommitUntilFencedAsync(disk));
            await Task.Delay(random.Next(100, 300), StoreBench.Cancellation);
            RunningStore next = await bench.OpenAsync($"host-{term}");
            int acknowledged = await load.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            disk = next.Find("disk", disk.Image);
            int found = BitConverter.ToInt32(await disk.ReadAsync(0, 4096));
            Assert.InRange(found, acknowledged, acknowledged + 1);
            Assert.Equal(found, BitConverter.ToInt32(await disk.ReadAsync(20_000, 4096)));
            BitConverter.TryWriteBytes(disk.Image, found);
        }

        Assert.True(BitConverter.ToInt32(disk.Image) > 8);
        Assert.Contains(
            bench.Objects.Calls,
            c => c.Operation == StoreOperation.Delete && c.Key.StartsWith("chain/", StringComparison.Ordinal));
    }

    // Two sectors always carry the same number: one write covers both. A server that takes over has to win the race for
    // one number of the chain, which it does only if the writer is not always a step ahead: hence the pause.
    private static async Task<int> CommitUntilFencedAsync(TestDisk disk)
    {
        for (int number = BitConverter.ToInt32(disk.Image) + 1; ; number++)
        {
            byte[] bytes = new byte[30_000];
            BitConverter.TryWriteBytes(bytes, number);
            BitConverter.TryWriteBytes(bytes.AsSpan(20_000), number);
            try
            {
                await disk.WriteAsync(0, bytes);
                await disk.FlushAsync();
                await Task.Delay(10, StoreBench.Cancellation);
            }
            catch (StorageFaultException fenced) when (fenced.Kind == FaultKind.Fenced)
            {
                return number - 1;
            }
        }
    }

    private static async Task AssertFatalAsync(RunningStore store)
    {
        StorageFaultException cause = await store.Store.Fatal.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.Equal(FaultKind.Fenced, cause.Kind);
    }

    private static async Task AssertFencedAsync(Task operation)
    {
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => operation.WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        Assert.Equal(FaultKind.Fenced, fault.Kind);
    }
}
