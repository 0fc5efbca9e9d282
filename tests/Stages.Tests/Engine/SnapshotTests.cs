using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// Snapshots, clones and rollbacks: what they hold, that it stays, and that its space comes back.
public sealed class SnapshotTests
{
    private const int Bytes = 2 << 20;

    public static TheoryData<string, bool> Orders
    {
        get
        {
            var orders = new TheoryData<string, bool>();
            foreach (string order in (string[])["dsc", "dcs", "sdc", "scd", "cds", "csd"])
            {
                orders.Add(order, false);
                orders.Add(order, true);
            }

            return orders;
        }
    }

    [Theory]
    [MemberData(nameof(Orders))]
    public async Task A_snapshot_and_its_clone_stay_what_they_are_and_are_deleted_in_any_order(string order, bool crashes)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        var random = new Random(order[0] + (order[1] * 3));
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await OverwriteAsync(disk, random, 150);
        await SnapshotAsync(store, "s", "disk");
        byte[] image = [.. disk.Image];
        await OverwriteAsync(disk, random, 150);
        await store.Store.CloneAsync("disk@s", "clone", null, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        TestDisk clone = store.Find("clone", [.. image]);
        await OverwriteAsync(clone, random, 150);
        await OverwriteAsync(disk, random, 150);
        var images = new Dictionary<string, byte[]> { ["disk"] = disk.Image, ["disk@s"] = image, ["clone"] = clone.Image };
        await CheckAsync(store, images);
        foreach (char which in order)
        {
            string gone = which switch { 'd' => "disk", 's' => "disk@s", _ => "clone" };
            if (!images.ContainsKey(gone)) continue;
            await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
            await store.Store.DeleteExportAsync(gone, force: true, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            images.Remove(gone);

            // Snapshots go with their export; clones stay.
            if (gone == "disk") images.Remove("disk@s");
            foreach (string name in images.Keys.Where(name => name != "disk@s"))
                await OverwriteAsync(store.Find(name, images[name]), random, 40);
            if (crashes)
            {
                await bench.CrashAsync(store);
                store = await bench.OpenAsync();
            }

            await CheckAsync(store, images);
        }

        // What a killed writer left behind is looked for behind the next checkpoint, and an idle store writes none.
        Assert.Empty(store.Store.List());
        await store.AttachAsync("next", 4096);
        await StoreBench.UntilAsync(() => store.Store.Status.DirtyBytes == 0 && bench.TableBytes == 0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Space_converges_with_snapshots_held_and_every_image_stays(int seed)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        var random = new Random(seed);
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        var images = new Dictionary<string, byte[]>();
        for (int i = 0; i < 4; i++)
        {
            await OverwriteAsync(disk, random, 200);
            await SnapshotAsync(store, $"s{i}", "disk");
            images[$"disk@s{i}"] = [.. disk.Image];
        }

        await OverwriteAsync(disk, random, 600);
        images["disk"] = disk.Image;
        await CheckAsync(store, images);
        for (int i = 0; i < 4; i++)
        {
            await store.Store.DeleteExportAsync($"disk@s{i}", false, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            images.Remove($"disk@s{i}");
            await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
            await bench.CrashAsync(store, loseWal: true);
            store = await bench.OpenAsync();
            await CheckAsync(store, images);
        }

        // Alone again, the export takes about its own bytes.
        await store.Find("disk", disk.Image).FillAsync(0, 4096, 1);
        await StoreBench.UntilAsync(() => store.Store.Status.DirtyBytes == 0 && bench.TableBytes <= (Bytes / bench.Options.SettleLiveShare * 1.1) + (2 * bench.Options.TableBytes));
        await store.Find("disk", disk.Image).CheckAllAsync();
    }

    // What was answered before the call is in; the bucket's absence delays when it can be opened, not what it holds.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_snapshot_that_is_journaled_only_is_exact_after_a_kill(bool rollsBack)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await OverwriteAsync(disk, new Random(3), 50);
        byte[] first = [.. disk.Image];
        if (rollsBack) await SnapshotAsync(store, "first", "disk");
        await OverwriteAsync(disk, new Random(4), 20);
        byte[] second = [.. disk.Image];
        bench.Objects.Outage = ObjectStoreErrorKind.Transient;
        Task<IReadOnlyList<ExportInfo>> taking = store.Store.CreateSnapshotsAsync(["disk"], "second", StoreBench.Cancellation);
        await StoreBench.UntilAsync(() => Refuses(store, "second"));
        await OverwriteAsync(disk, new Random(5), 20);
        if (rollsBack)
        {
            Task back = store.Store.RollBackAsync("disk@first", false, StoreBench.Cancellation);
            await StoreBench.UntilAsync(() => !store.Store.TryOpen("disk", out _));
            Assert.False(back.IsCompleted);
        }
        else
        {
            await disk.FlushAsync();
        }

        Assert.False(taking.IsCompleted);
        await bench.CrashAsync(store);
        bench.Objects.Outage = null;

        RunningStore again = await bench.OpenAsync();
        await again.Find("disk@second", second).CheckAllAsync();
        TestDisk after = again.Find("disk", rollsBack ? first : disk.Image);
        await after.CheckAllAsync();
        await OverwriteAsync(after, new Random(6), 20);
        await bench.CrashAsync(again);
        RunningStore third = await bench.OpenAsync();
        await third.Find("disk", after.Image).CheckAllAsync();
        await third.Find("disk@second", second).CheckAllAsync();
    }

    [Fact]
    public async Task A_group_snapshot_is_one_instant_of_all_exports()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk[] disks = [await store.AttachAsync("a", 8192), await store.AttachAsync("b", 8192), await store.AttachAsync("c", 8192)];
        using var stop = new CancellationTokenSource();
        Task writing = Task.Run(async () =>
        {
            // One writer: write n is answered before write n + 1 begins.
            for (int n = 1; !stop.IsCancellationRequested; n++) await disks[n % 3].WriteAsync(0, BitConverter.GetBytes(n).Concat(new byte[508]).ToArray());
        }, StoreBench.Cancellation);
        for (int round = 0; round < 10; round++)
        {
            await SnapshotAsync(store, $"all{round}");
            int[] seen = new int[3];
            for (int i = 0; i < 3; i++)
                seen[i] = BitConverter.ToInt32(await store.Find($"{"abc"[i]}@all{round}", new byte[8192]).ReadAsync(0, 512));
            int last = seen.Max();
            for (int i = 0; i < 3; i++) Assert.InRange(seen[i], last - 2, last);
        }

        await stop.CancelAsync();
        await writing;
    }

    [Fact]
    public async Task A_rollback_needs_the_clients_gone_and_takes_size_and_content_back()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 1 << 20);
        await disk.FillAsync(0, 100_000, 1);
        await SnapshotAsync(store, "s", "disk");
        byte[] image = [.. disk.Image];
        await store.Store.ResizeExportAsync("disk", Bytes, false, StoreBench.Cancellation);
        await disk.FillAsync(50_000, 100_000, 2);
        using (disk.Device.Attach())
        {
            await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.RollBackAsync("disk@s", false, StoreBench.Cancellation));
            Assert.Equal(1, store.Store.AttachedTo("disk"));
            ExportInfo back = await store.Store.RollBackAsync("disk@s", true, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
            Assert.Equal(1 << 20, back.SizeBytes);
        }

        // The device that was is not the one that is.
        await Assert.ThrowsAsync<StorageFaultException>(() => disk.ReadAsync(0, 512));
        await Assert.ThrowsAsync<StorageFaultException>(() => disk.FillAsync(0, 512, 1));
        Assert.Equal(0, bench.Buffers.RentedBytes);
        await store.Find("disk", image).CheckAllAsync();
        await StoreBench.RefusesAsync(FaultKind.Invalid, () => store.Find("disk@s", image).FillAsync(0, 512, 1));
    }

    [Fact]
    public async Task Snapshots_follow_the_name_of_their_export_and_hold_their_names()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("old", 1 << 20);
        await disk.FillAsync(0, 512, 1);
        await SnapshotAsync(store, "s", "old");
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => SnapshotAsync(store, "s", "old"));
        await StoreBench.RefusesAsync(FaultKind.NotFound, () => SnapshotAsync(store, "s", "none"));
        await StoreBench.RefusesAsync(FaultKind.Invalid, () => SnapshotAsync(store, "t", "old@s"));
        await StoreBench.RefusesAsync(FaultKind.Invalid, () => SnapshotAsync(store, "a@b", "old"));
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.DeleteExportAsync("old", false, StoreBench.Cancellation));
        await store.Store.AlterExportAsync("old", new ExportPatch { Name = "new" }, StoreBench.Cancellation);
        await store.Find("new@s", disk.Image).CheckAllAsync();
        Assert.True(store.Store.TryOpen("", out IBlockDevice? only));
        Assert.Equal("new", only.Info.Name);
        await bench.CrashAsync(store);
        RunningStore again = await bench.OpenAsync();
        await again.Find("new@s", disk.Image).CheckAllAsync();
        Assert.Equal(["new", "new@s"], again.Store.List().Select(e => e.Name));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_resized_export_has_zeros_where_it_never_was_and_outlives_a_kill(bool loseWal)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", 1 << 20, DurabilityLevel.Published);
        await disk.FillAsync(0, 1 << 20, 7);
        await store.Store.ResizeExportAsync("disk", Bytes, false, StoreBench.Cancellation);
        TestDisk large = store.Find("disk", [.. disk.Image, .. new byte[Bytes - (1 << 20)]]);
        await large.CheckAllAsync();
        await large.FillAsync(Bytes - 4096, 4096, 9);
        await large.FlushAsync();
        await bench.CrashAsync(store, loseWal);

        RunningStore again = await bench.OpenAsync();
        await again.Find("disk", large.Image).CheckAllAsync();
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => again.Store.ResizeExportAsync("disk", 8192, false, StoreBench.Cancellation));
        await again.Store.ResizeExportAsync("disk", 8192, true, StoreBench.Cancellation);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => again.Find("disk", large.Image).ReadAsync(8192, 512));
        await again.Store.ResizeExportAsync("disk", Bytes, false, StoreBench.Cancellation);
        byte[] left = [.. large.Image[..8192], .. new byte[Bytes - 8192]];
        await again.Find("disk", left).CheckAllAsync();
        await bench.CrashAsync(again, loseWal);
        RunningStore third = await bench.OpenAsync();
        await third.Find("disk", left).CheckAllAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_deleted_export_is_gone_for_its_clients_and_its_name_is_free(bool loseWal)
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options);
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes, DurabilityLevel.Published);
        await OverwriteAsync(disk, new Random(1), 50);
        using (disk.Device.Attach())
        {
            await StoreBench.RefusesAsync(FaultKind.Conflict, () => store.Store.DeleteExportAsync("disk", false, StoreBench.Cancellation));
            await store.Store.DeleteExportAsync("disk", true, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        }

        await StoreBench.RefusesAsync(FaultKind.Closing, () => disk.FillAsync(0, 512, 1));
        await StoreBench.RefusesAsync(FaultKind.Closing, () => disk.FlushAsync());
        await StoreBench.RefusesAsync(FaultKind.NotFound, () => store.Store.DeleteExportAsync("disk", true, StoreBench.Cancellation));
        await bench.CrashAsync(store, loseWal);

        RunningStore again = await bench.OpenAsync();
        Assert.Empty(again.Store.List());
        TestDisk other = await again.AttachAsync("disk", Bytes);
        Assert.NotEqual(disk.Device.Info.Id, other.Device.Info.Id);
        await other.CheckAllAsync();
        await other.FillAsync(0, 512, 3);
        await again.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        await StoreBench.UntilAsync(() => bench.TableBytes < 8192);
        await other.CheckAllAsync();
    }

    private static bool Refuses(RunningStore store, string name)
    {
        Task<IReadOnlyList<ExportInfo>> again = store.Store.CreateSnapshotsAsync(["disk"], name, StoreBench.Cancellation);
        return again is { IsFaulted: true, Exception.InnerException: StorageFaultException { Kind: FaultKind.Conflict } };
    }

    // Dead as of a checkpoint, and the kill came before the deletes.
    [Fact]
    public async Task What_was_dead_when_the_store_was_opened_goes_without_a_further_write()
    {
        await using var bench = new StoreBench();
        bench.Options = StoreBench.Busy(bench.Options) with { DeleteGrace = TimeSpan.FromDays(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk", Bytes);
        await OverwriteAsync(disk, new Random(1), 50);
        await disk.ZeroAsync(0, Bytes);
        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        await StoreBench.UntilAsync(() => store.Store.Space.WaitingObjects > 0 && store.Store.Space.LiveBytes == 0);
        Assert.True(bench.TableBytes > 0);
        await bench.CrashAsync(store);

        bench.Options = bench.Options with { DeleteGrace = TimeSpan.Zero };
        await bench.OpenAsync();
        await StoreBench.UntilAsync(() => bench.TableBytes == 0);
    }

    private static Task<IReadOnlyList<ExportInfo>> SnapshotAsync(RunningStore store, string name, params string[] exports) =>
        store.Store.CreateSnapshotsAsync(exports, name, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    private static async Task CheckAsync(RunningStore store, Dictionary<string, byte[]> images)
    {
        foreach (var (name, image) in images) await store.Find(name, image).CheckAllAsync();
    }

    private static async Task OverwriteAsync(TestDisk disk, Random random, int writes)
    {
        for (int i = 0; i < writes; i++)
        {
            int blocks = random.Next(16) == 0 ? 16 : random.Next(1, 3);
            long at = random.Next((disk.Image.Length / 4096) - blocks) * 4096L;
            if (random.Next(12) == 0)
            {
                await disk.ZeroAsync(at, blocks * 4096);
                continue;
            }

            byte[] bytes = new byte[blocks * 4096];
            random.NextBytes(bytes);
            await disk.WriteAsync(at, bytes);
        }
    }
}
