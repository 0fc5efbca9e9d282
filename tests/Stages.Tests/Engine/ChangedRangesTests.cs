using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Tests.Engine;

// Where an export differs from its snapshots, against images of all of them.
public sealed class ChangedRangesTests
{
    private const int Bytes = 2 << 20;
    private const int Sector = 512;

    // Goal: no byte that differs is left out, through commits, checkpoints, settling, crashes and rollbacks; and what is
    // told beyond that was written, or moved, at least.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Every_byte_that_differs_is_told_whatever_the_store_does_meanwhile(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        var random = new Random(seed);
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        var images = new Dictionary<string, byte[]>();
        for (int round = 0; round < 6; round++)
        {
            await OverwriteAsync(disk, random, 120);
            await store.Store.CreateSnapshotsAsync(["disk"], $"s{round}", StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            images[$"disk@s{round}"] = [.. disk.Image];
            await OverwriteAsync(disk, random, 40);
            images["disk"] = disk.Image;
            await CheckAllAsync(store, images);
            if (round == 2)
            {
                await store.Store.RollBackAsync("disk@s1", force: true, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
                disk = store.Find("disk", [.. images["disk@s1"]]);
                images["disk"] = disk.Image;
                Assert.Equal(0, await ToldAsync(store, "disk", "s1", images));
                await CheckAllAsync(store, images);
            }

            if (round % 2 == 1)
            {
                await bench.CrashAsync(store);
                store = await bench.OpenAsync();
                disk = store.Find("disk", disk.Image);
                await CheckAllAsync(store, images);
            }
        }
    }

    [Fact]
    public async Task What_was_left_alone_is_not_told_and_what_was_written_is_from_its_first_to_its_last_byte()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 64 << 20, image: new byte[64 << 20]);
        await disk.FillAsync(1 << 20, 1 << 20, 1);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        Assert.Equal([new ChangedRun(64 << 20, false)], await RunsAsync(store, "disk", "s", new BlockRange(0, 64 << 20)));

        await disk.FillAsync((1 << 20) + 1000, 3000, 2);
        await disk.ZeroAsync(40 << 20, 1 << 20);
        ChangedRun[] expected =
            [new(1000, false), new(3000, true), new(16 << 20, false)];
        ChangedRun[] runs = await RunsAsync(store, "disk", "s", new BlockRange(1 << 20, (16 << 20) + 4000));
        Assert.Equal(expected, runs);
        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        Assert.Equal(expected, await RunsAsync(store, "disk", "s", new BlockRange(1 << 20, (16 << 20) + 4000)));

        // The other way round, of a snapshot of now, and of one run at a time.
        await store.Store.CreateSnapshotsAsync([], "t", StoreBench.Cancellation);
        Assert.Equal(expected, await RunsAsync(store, "disk@t", "s", new BlockRange(1 << 20, (16 << 20) + 4000)));
        Assert.Equal(expected, await RunsAsync(store, "disk@s", "t", new BlockRange(1 << 20, (16 << 20) + 4000)));
        Assert.Equal(expected[..1], await RunsAsync(store, "disk", "s", new BlockRange(1 << 20, 5000), runsMax: 1));
        Assert.Equal([new ChangedRun(64 << 20, false)], await RunsAsync(store, "disk", "t", new BlockRange(0, 64 << 20)));
    }

    [Fact]
    public async Task What_lies_beyond_the_end_of_the_snapshot_has_changed()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await store.AttachAsync("disk", Bytes);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        await store.Store.ResizeExportAsync("disk", Bytes + (40 << 20), allowShrink: false, StoreBench.Cancellation);
        Assert.Equal(
            [new ChangedRun(Bytes, false), new ChangedRun(40 << 20, true)],
            await RunsAsync(store, "disk", "s", new BlockRange(0, Bytes + (40 << 20))));
    }

    // What a client compares with must not go from under it, unless that is forced; then it is told so.
    [Fact]
    public async Task A_snapshot_stays_as_long_as_somebody_compares_with_it()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        await store.Store.CreateSnapshotsAsync([], "t", StoreBench.Cancellation);
        await store.Store.CloneAsync("disk@s", "clone", null, StoreBench.Cancellation);
        Assert.False(store.Store.TryCompare(disk.Device.Info, "nothing", out _));
        Assert.False(store.Store.TryCompare(InfoOf(store, "disk@s"), "s", out _));
        Assert.False(store.Store.TryCompare(InfoOf(store, "clone"), "s", out _));

        Assert.True(store.Store.TryCompare(disk.Device.Info, "s", out IChangedRanges? changes));
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.DeleteExportAsync("disk@s", false, StoreBench.Cancellation));
        changes.Dispose();
        await store.Store.DeleteExportAsync("disk@s", false, StoreBench.Cancellation);

        Assert.True(store.Store.TryCompare(disk.Device.Info, "t", out changes));
        await store.Store.DeleteExportAsync("disk@t", force: true, StoreBench.Cancellation);
        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        await StoreBench.RefusesAsync(
            FaultKind.Closing, async () => await changes.GetAsync(new BlockRange(0, Bytes), new ChangedRun[4], StoreBench.Cancellation));
        changes.Dispose();
    }

    // A write that was answered before the question is in the answer, wherever it is on its way into the bucket.
    [Fact]
    public async Task Answered_writes_are_told_while_others_go_on()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await OverwriteAsync(disk, new Random(1), 200);
        await store.Store.CreateSnapshotsAsync([], "s", StoreBench.Cancellation);
        bool[] written = new bool[Bytes / Sector];
        using var over = new CancellationTokenSource();
        Task writing = Task.Run(async () =>
        {
            var random = new Random(2);
            while (!over.IsCancellationRequested)
            {
                int at = random.Next(written.Length);
                await disk.FillAsync(at * Sector, Sector, (byte)random.Next(1, 256));
                Volatile.Write(ref written[at], true);
            }
        }, StoreBench.Cancellation);
        for (int i = 0; i < 60; i++)
        {
            bool[] before = [.. written];
            bool[] told = new bool[Bytes / Sector];
            long at = 0;
            foreach (ChangedRun run in await RunsAsync(store, "disk", "s", new BlockRange(0, Bytes)))
            {
                told.AsSpan((int)(at / Sector), (int)(run.Length / Sector)).Fill(run.IsChanged);
                at += run.Length;
            }

            for (int sector = 0; sector < before.Length; sector++) Assert.True(told[sector] || !before[sector], $"Sector {sector} is left out.");
        }

        await over.CancelAsync();
        await writing;
    }

    private static async Task CheckAllAsync(RunningStore store, Dictionary<string, byte[]> images)
    {
        foreach (string name in images.Keys)
        {
            foreach (string other in images.Keys.Where(other => other != name && other != "disk"))
                await ToldAsync(store, name, other["disk@".Length..], images);
        }
    }

    // How many bytes are told to have changed: all that have, or more.
    private static async Task<long> ToldAsync(
        RunningStore store, string name, string snapshot, Dictionary<string, byte[]> images)
    {
        byte[] now = images[name], then = images[$"disk@{snapshot}"];
        long told = 0;
        int at = 0;
        foreach (ChangedRun run in await RunsAsync(store, name, snapshot, new BlockRange(0, Bytes)))
        {
            if (run.IsChanged) told += run.Length;
            else Assert.True(now.AsSpan(at, (int)run.Length).SequenceEqual(then.AsSpan(at, (int)run.Length)), $"{name} since {snapshot}, at {at}");
            at += (int)run.Length;
        }

        return told;
    }

    private static async Task<ChangedRun[]> RunsAsync(
        RunningStore store, string name, string snapshot, BlockRange range, int runsMax = 10_000)
    {
        Assert.True(store.Store.TryCompare(InfoOf(store, name), snapshot, out IChangedRanges? changes));
        using (changes)
        {
            var runs = new ChangedRun[runsMax];
            int count = await changes.GetAsync(range, runs, StoreBench.Cancellation).AsTask().WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            if (runsMax > 1) Assert.Equal(range.Length, runs.Sum(run => run.Length));
            return runs[..count];
        }
    }

    private static ExportInfo InfoOf(RunningStore store, string name) => store.Store.List().Single(info => info.Name == name);

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            long at = (long)random.Next(Bytes / Sector) * Sector;
            int length = (int)Math.Min(Bytes - at, random.Next(1, 40) * Sector);
            if (random.Next(6) == 0) await disk.ZeroAsync(at, length);
            else await disk.FillAsync(at, length, (byte)random.Next(1, 256));
        }
    }
}
