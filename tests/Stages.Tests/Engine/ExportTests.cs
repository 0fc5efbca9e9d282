using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class ExportTests
{
    [Theory]
    [InlineData("", 4096)]
    [InlineData("with@at", 4096)]
    [InlineData("line\nfeed", 4096)]
    [InlineData("nul\0", 4096)]
    [InlineData("ok", 0)]
    [InlineData("ok", 511)]
    [InlineData("ok", 1000)]
    [InlineData("ok", -512)]
    [InlineData("ok", long.MinValue)]
    [InlineData("ok", (16L << 40) + 512)]
    public async Task Names_and_sizes_that_are_not_allowed_are_refused_in_a_sentence(string name, long size)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        StorageFaultException fault = await EnsureFailsAsync(store, name, size);
        Assert.Equal(FaultKind.Invalid, fault.Kind);
        Assert.EndsWith(".", fault.Message, StringComparison.Ordinal);
        Assert.Empty(store.Store.List());
    }

    // The bound is on the bytes of the name, not on its letters.
    [Fact]
    public async Task The_longest_name_and_the_extreme_sizes_are_allowed()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await EnsureAsync(store, new string('n', 255), 512);
        await EnsureAsync(store, "large", 16L << 40);
        Assert.Equal(FaultKind.Invalid, (await EnsureFailsAsync(store, new string('n', 256), 512)).Kind);
        Assert.Equal(FaultKind.Invalid, (await EnsureFailsAsync(store, new string('ß', 128), 512)).Kind);
        Assert.Equal(["large", new string('n', 255)], store.Store.List().Select(e => e.Name));
    }

    [Fact]
    public async Task An_export_that_exists_keeps_its_size_and_gets_a_level_only_when_one_is_given()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await EnsureAsync(store, "disk", 1 << 20);
        Assert.Equal(1 << 20, (await EnsureAsync(store, "disk", 2 << 20)).SizeBytes);
        Assert.Equal(DurabilityLevel.Published, (await EnsureAsync(store, "disk", 1 << 20, DurabilityLevel.Published)).Level);
        Assert.Equal(
            DurabilityLevel.Published,
            (await store.Store.EnsureExportAsync("disk", 1 << 20, null, StoreBench.Cancellation)).Level);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Exports_and_their_levels_outlive_a_kill_from_the_WAL_and_from_the_bucket(bool publish)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        ExportInfo first = await EnsureAsync(store, "first", 1 << 20);
        await EnsureAsync(store, "second", 2 << 20, DurabilityLevel.Published);
        ExportInfo changed = await EnsureAsync(store, "first", 1 << 20, DurabilityLevel.Published);
        Assert.Equal(first with { Level = DurabilityLevel.Published }, changed);
        Assert.True(store.Store.TryOpen("first", out IBlockDevice? device));
        Assert.Equal(DurabilityLevel.Published, device.Info.Level);
        IReadOnlyList<ExportInfo> before = store.Store.List();
        if (publish) await device.FlushAsync(StoreBench.Cancellation);
        await bench.CrashAsync(store, loseWal: publish);

        RunningStore again = await bench.OpenAsync();
        Assert.Equal(before, again.Store.List());
        Assert.Equal(3u, (await EnsureAsync(again, "third", 4096)).Id.Value);
    }

    [Fact]
    public async Task The_same_export_asked_for_many_times_at_once_is_made_once()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        ExportInfo[] infos = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => EnsureAsync(store, "disk", 4096)));
        Assert.Single(infos.Distinct());
        Assert.Single(store.Store.List());
    }

    [Fact]
    public async Task The_empty_name_stands_for_the_only_export()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        Assert.False(store.Store.TryOpen("", out _));
        await EnsureAsync(store, "one", 4096);
        Assert.True(store.Store.TryOpen("", out IBlockDevice? device));
        Assert.Equal("one", device.Info.Name);
        await EnsureAsync(store, "two", 4096);
        Assert.False(store.Store.TryOpen("", out _));
        Assert.False(store.Store.TryOpen("ONE", out _));
    }

    [Fact]
    public async Task Ranges_beyond_the_end_are_refused_and_give_their_buffers_back()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 4096);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.BeginWriteAsync(4000, new byte[97]));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.BeginWriteAsync(-1, new byte[1]));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.BeginWriteAsync(long.MaxValue, new byte[1]));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.ReadAsync(1, 4096));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => disk.ZeroAsync(0, long.MaxValue));
        disk.Device.Prefetch(new BlockRange(long.MaxValue, long.MaxValue));
        disk.Device.Prefetch(new BlockRange(-5, 10));
        Assert.Equal(0, bench.Buffers.RentedBytes);
    }

    // Runs of data and holes, wherever the bytes are: in the WAL, in a table, or nowhere.
    [Fact]
    public async Task Block_status_tells_data_from_holes_in_the_WAL_as_in_tables()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 1 << 20, DurabilityLevel.Published);
        await disk.FillAsync(10_000, 30_000, 1);
        await disk.ZeroAsync(20_000, 5_000);
        await AssertRunsAsync(disk);
        await disk.FlushAsync();
        await AssertRunsAsync(disk);
        await disk.FillAsync(20_000, 5_000, 2);
        BlockStatus[] runs = new BlockStatus[8];
        Assert.Equal(3, await disk.Device.GetStatusAsync(new BlockRange(0, 1 << 20), runs, StoreBench.Cancellation));
        Assert.Equal([new(10_000, true), new(30_000, false), new((1 << 20) - 40_000, true)], runs[..3]);
    }

    // From the WAL, from tables without the WAL, and from a checkpoint: the same export each time.
    [Theory]
    [InlineData(false, 64)]
    [InlineData(true, 64)]
    [InlineData(true, 1)]
    public async Task A_change_of_an_export_outlives_a_kill(bool publish, int checkpointTables)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromHours(1), CheckpointTables = checkpointTables };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("old", 1 << 20);
        await disk.FillAsync(0, 4096, 7);
        ExportInfo changed = await AlterAsync(store, "old", new ExportPatch
        {
            Name = "new",
            IsReadOnly = true,
            Description = "the cluster’s WAL",
            Level = publish ? DurabilityLevel.Published : null,
        });
        Assert.Equal(disk.Device.Info, changed);
        Assert.Equal(("new", true, "the cluster’s WAL"), (changed.Name, changed.IsReadOnly, changed.Description));
        if (checkpointTables == 1)
        {
            // The change's own table comes before whatever a later checkpoint covers; writes lead up to one.
            int before = bench.Objects.Keys("checkpoint").Count;
            await store.Store.EnsureExportAsync("other", 4096, DurabilityLevel.Published, StoreBench.Cancellation);
            Assert.True(store.Store.TryOpen("other", out IBlockDevice? other));
            for (int i = 0; i < 1000 && bench.Objects.Keys("checkpoint").Count <= before + 1; i++)
            {
                await other.ZeroAsync(new BlockRange(0, 512), false, StoreBench.Cancellation);
                await other.FlushAsync(StoreBench.Cancellation);
            }

            Assert.NotEmpty(bench.Objects.Keys("checkpoint"));
        }

        await bench.CrashAsync(store, loseWal: publish);

        RunningStore again = await bench.OpenAsync();
        Assert.Equal(changed, again.Store.List().First(e => e.Id == changed.Id));
        Assert.Equal(checkpointTables == 1 ? 2 : 1, again.Store.List().Count);
        Assert.False(again.Store.TryOpen("old", out _));
        Assert.True(again.Store.TryOpen("new", out IBlockDevice? device));
        byte[] read = new byte[4096];
        await device.ReadAsync(0, read, StoreBench.Cancellation);
        Assert.All(read, b => Assert.Equal(7, b));
    }

    [Fact]
    public async Task A_read_only_export_refuses_changes_gives_their_buffers_back_and_can_be_made_writable_again()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 1 << 20);
        await AlterAsync(store, "disk", new ExportPatch { IsReadOnly = true });
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            () => disk.BeginWriteAsync(0, new byte[4096]));
        Assert.Equal("The export 'disk' is read-only.", fault.Message);
        await Assert.ThrowsAsync<StorageFaultException>(() => disk.ZeroAsync(0, 4096));
        await disk.FlushAsync();
        Assert.Equal(0, bench.Buffers.RentedBytes);
        await AlterAsync(store, "disk", new ExportPatch { IsReadOnly = false });
        await disk.FillAsync(0, 4096, 1);
    }

    [Fact]
    public async Task Changes_that_cannot_be_made_are_refused_and_change_nothing()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await EnsureAsync(store, "one", 4096);
        await EnsureAsync(store, "two", 4096);
        IReadOnlyList<ExportInfo> before = store.Store.List();
        Assert.Equal("There is no export 'three'.", await RefusedAsync(store, "three", new() { IsReadOnly = true }, FaultKind.NotFound));
        Assert.Equal(
            "There is an export 'two' already.",
            await RefusedAsync(store, "one", new() { Name = "two", IsReadOnly = true }, FaultKind.Conflict));
        await RefusedAsync(store, "one", new() { Name = "a@b" });
        await RefusedAsync(store, "one", new() { Description = new string('d', 1025) });
        await RefusedAsync(store, "one", new() { Description = "line\nfeed" });
        await AlterAsync(store, "one", new ExportPatch { Name = "one" });
        Assert.Equal(before, store.Store.List());
    }

    private static Task<ExportInfo> AlterAsync(RunningStore store, string name, ExportPatch patch) =>
        store.Store.AlterExportAsync(name, patch, StoreBench.Cancellation)
            .WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    private static async Task<string> RefusedAsync(
        RunningStore store, string name, ExportPatch patch, FaultKind kind = FaultKind.Invalid)
    {
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(() => AlterAsync(store, name, patch));
        Assert.Equal(kind, fault.Kind);
        return fault.Message;
    }

    private static async Task AssertRunsAsync(TestDisk disk)
    {
        BlockStatus[] runs = new BlockStatus[8];
        int count = await disk.Device.GetStatusAsync(new BlockRange(0, 1 << 20), runs, StoreBench.Cancellation);
        Assert.Equal(
            [
                new(10_000, true), new(10_000, false), new(5_000, true), new(15_000, false),
                new((1 << 20) - 40_000, true),
            ],
            runs[..count]);
        Assert.Equal(2, await disk.Device.GetStatusAsync(new BlockRange(0, 1 << 20), runs.AsMemory(0, 2), StoreBench.Cancellation));
        Assert.Equal([new(10_000, true), new(10_000, false)], runs[..2]);
    }

    private static Task<ExportInfo> EnsureAsync(
        RunningStore store, string name, long size, DurabilityLevel level = DurabilityLevel.Journaled) =>
        store.Store.EnsureExportAsync(name, size, level, StoreBench.Cancellation)
            .WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    private static Task<StorageFaultException> EnsureFailsAsync(RunningStore store, string name, long size) =>
        Assert.ThrowsAsync<StorageFaultException>(() => EnsureAsync(store, name, size));
}
