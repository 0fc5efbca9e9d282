using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Stages.Tests.Engine;

// A configuration that still names what was renamed must not make an empty export under the old name.
public sealed class RenameTests
{
    private const long Bytes = 1 << 20;

    [Theory]
    [InlineData("wal")]
    [InlineData("chain")]
    [InlineData("checkpoint")]
    public async Task A_name_that_was_given_up_makes_nothing_at_the_next_start(string from)
    {
        await using var bench = new StoreBench();
        bench.Options = from == "checkpoint" ? StoreBench.Busy(bench.Options) : bench.Options with { PublishInterval = TimeSpan.FromHours(1) };
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("first", Bytes);
        await disk.FillAsync(0, 65536, 1);
        await RenameAsync(store, "first", "second");
        await RenameAsync(store, "second", "third");
        if (from != "wal") await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        if (from == "checkpoint")
        {
            // A root that was begun before the renames says nothing of them.
            int before = bench.Objects.Keys("checkpoint/").Count;
            string newest = before > 0 ? bench.Objects.Keys("checkpoint/")[^1] : "";
            await StoreBench.UntilAsync(async () =>
            {
                await disk.FillAsync(0, 65536, 2);
                await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
                return bench.Objects.Keys("checkpoint/") is [.., var last] && string.CompareOrdinal(last, newest) > 0;
            });
        }

        await bench.CrashAsync(store, loseWal: from != "wal");
        RunningStore again = await bench.OpenAsync();
        foreach (string name in (string[])["first", "second"])
        {
            ExportInfo found = await again.Store.EnsureExportAsync(name, Bytes, DurabilityLevel.Published, StoreBench.Cancellation);
            Assert.Equal(("third", DurabilityLevel.Journaled), (found.Name, found.Level));
        }

        ExportInfo only = Assert.Single(again.Store.List());
        Assert.Equal(["first", "second"], only.FormerNames!.Names);
        await again.Find("third", disk.Image).CheckAllAsync();
    }

    [Fact]
    public async Task A_name_that_was_given_up_can_be_given_anew_explicitly()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await store.AttachAsync("first", Bytes);
        await RenameAsync(store, "first", "second");
        ExportInfo made = await store.Store.CreateExportAsync("first", Bytes, DurabilityLevel.Journaled, new NewExportOptions(), StoreBench.Cancellation);
        Assert.Equal(made, await store.Store.EnsureExportAsync("first", Bytes, null, StoreBench.Cancellation));
        await StoreBench.RefusesAsync(FaultKind.Conflict, () => RenameAsync(store, "second", "first"));
        await store.Store.DeleteExportAsync("first", force: false, StoreBench.Cancellation);
        await RenameAsync(store, "second", "first");
        Assert.Equal(["second"], store.Store.List().Single().FormerNames!.Names);

        // With the export its former names go, too.
        await store.Store.DeleteExportAsync("first", force: false, StoreBench.Cancellation);
        Assert.Equal("second", (await store.Store.EnsureExportAsync("second", Bytes, null, StoreBench.Cancellation)).Name);
    }

    [Fact]
    public async Task Snapshots_and_clones_have_no_former_names_and_a_rollback_keeps_them()
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        await store.AttachAsync("first", Bytes);
        await RenameAsync(store, "first", "second");
        await store.Store.CreateSnapshotsAsync(["second"], "s", StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        await store.Store.CloneAsync("second@s", "clone", null, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        await store.Store.RollBackAsync("second@s", force: false, StoreBench.Cancellation).WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.Equal(
            [("clone", null), ("second", "first"), ("second@s", null)],
            store.Store.List().Select(static info => (info.Name, info.FormerNames?.ToString())));
    }

    // The newest are kept, and a name that the export has is none that it had.
    [Fact]
    public void Former_names_are_bounded_and_outlive_their_encoding()
    {
        ExportInfo info = new CatalogChange.CreateExport(1, "n0", Bytes, 16384, DurabilityLevel.Journaled).ToInfo();
        Assert.DoesNotContain("former", System.Text.Encoding.UTF8.GetString(CatalogChange.CreateExport.From(info).Encode()), StringComparison.Ordinal);
        for (int i = 1; i <= 20; i++) info = new CatalogChange.AlterExport(1, $"n{i}").ApplyTo(info);
        Assert.Equal(Enumerable.Range(4, FormerNames.CountMax).Select(static i => $"n{i}"), info.FormerNames!.Names);
        info = new CatalogChange.AlterExport(1, "n10").ApplyTo(info);
        Assert.DoesNotContain("n10", info.FormerNames!.Names);
        Assert.Equal("n20", info.FormerNames.Names[^1]);
        Assert.Equal(info, new CatalogChange.AlterExport(1, Level: DurabilityLevel.Journaled).ApplyTo(info));
        var decoded = (CatalogChange.CreateExport)CatalogChange.Decode(CatalogChange.CreateExport.From(info).Encode());
        Assert.Equal(info, decoded.ToInfo());
    }

    private static Task<ExportInfo> RenameAsync(RunningStore store, string from, string to) =>
        store.Store.AlterExportAsync(from, new ExportPatch { Name = to }, StoreBench.Cancellation);
}
