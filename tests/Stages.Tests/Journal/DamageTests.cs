using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Journal;
using ZeroFlow.TestKit.Journal;

namespace ZeroFlow.Stages.Tests.Journal;

// A torn tail is tolerated; anything that proves a synced record lost is not.
public sealed class DamageTests
{
    public enum Harm
    {
        Truncated,
        Zeroed,
        Flipped,
    }

    [Theory]
    [InlineData(Harm.Truncated)]
    [InlineData(Harm.Zeroed)]
    [InlineData(Harm.Flipped)]
    public async Task A_torn_last_record_leaves_the_ones_before_it(Harm harm)
    {
        await using WalBench bench = await WithRecordsAsync(20, 3000);
        SimulatedWalDisk whole = bench.Disk.Kill();
        WalBench.Record last = bench[20];
        Range range = SegmentFiles.RangeOf(last);
        string name = WalSegment.NameOf(last.Position.Segment);
        for (int at = range.Start.Value - FasterSegmentLog.EntryHeaderBytes; at < range.End.Value; at += at < range.Start.Value + 70 ? 1 : 37)
        {
            await bench.Wal.DisposeAsync();
            bench.Disk = whole.Kill();
            byte[] bytes = bench.Disk.BytesOf(name);
            if (harm == Harm.Truncated) bench.Disk.Truncate(name, at);
            else if (harm == Harm.Zeroed) bytes.AsSpan(at).Clear();
            else bytes[at] ^= 0x10;
            bench.Replay();
            Assert.Equal(19ul, bench.Last);
        }
    }

    // Goal: a record that was synced is never dropped silently, wherever the bit flips and whoever proves the sync.
    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(17)]
    [InlineData(50)]
    [InlineData(61)]
    [InlineData(100)]
    [InlineData(3079)]
    public async Task A_flip_in_a_record_that_a_later_one_proves_synced_is_corruption(int at)
    {
        await using WalBench bench = await WithRecordsAsync(10, 3000);
        bench.Sync();
        await bench.AppendAsync(10);
        await bench.HandOverAsync();
        await bench.KillAsync();
        SegmentFiles.BytesOf(bench.Disk, bench[4])[at] ^= 1;
        AssertCorrupt(bench);
    }

    [Fact]
    public async Task A_flip_is_corruption_when_only_the_next_segment_proves_the_sync()
    {
        await using WalBench bench = await WithRecordsAsync(3, 250_000);
        bench.Sync();
        await bench.AppendAsync(250_000);
        await bench.AppendAsync(250_000);
        await bench.HandOverAsync();
        Assert.NotEqual(bench[3].Position.Segment, bench[5].Position.Segment);
        await bench.KillAsync();
        SegmentFiles.BytesOf(bench.Disk, bench[3])[2000] ^= 1;
        SegmentFiles.BytesOf(bench.Disk, bench[4])[20] ^= 1;
        AssertCorrupt(bench);
    }

    [Fact]
    public async Task A_flip_is_corruption_when_only_the_next_term_proves_the_sync()
    {
        await using WalBench bench = await WithRecordsAsync(5, 3000);
        await bench.KillAsync();
        await bench.OpenAsync();
        await bench.AppendAsync(10);
        await bench.HandOverAsync();
        await bench.KillAsync();
        SegmentFiles.BytesOf(bench.Disk, bench[5])[70] ^= 1;
        AssertCorrupt(bench);
    }

    [Fact]
    public async Task A_flip_in_an_unsynced_record_ends_the_log_there()
    {
        await using WalBench bench = await WithRecordsAsync(10, 3000);
        await bench.KillAsync();
        SegmentFiles.BytesOf(bench.Disk, bench[8])[70] ^= 1;
        bench.Replay();
        Assert.Equal(7ul, bench.Last);
    }

    // Goal: damage in what the bucket already holds does not matter.
    [Fact]
    public async Task A_flip_in_a_committed_segment_is_not_looked_at()
    {
        await using WalBench bench = await WithRecordsAsync(8, 250_000);
        bench.Sync();
        await bench.AppendAsync(10);
        await bench.HandOverAsync();
        bench.Release(4);
        await bench.KillAsync();
        foreach (string name in SegmentFiles.Names(bench.Disk).Where(n => SegmentFiles.FirstSequence(bench.Disk, n) == 1))
            bench.Disk.BytesOf(name).AsSpan(400, 1000).Fill(0x55);
        bench.Replay();
        Assert.Equal(9ul, bench.Last);
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(0, false)]
    [InlineData(1, true)]
    [InlineData(1, false)]
    public async Task A_segment_file_that_is_gone_is_corruption(int which, bool synced)
    {
        await using WalBench bench = await WithRecordsAsync(12, 250_000);
        if (synced) bench.Sync();
        await bench.KillAsync();
        bench.Disk.Delete(SegmentFiles.Names(bench.Disk)[which]);
        AssertCorrupt(bench);
    }

    [Fact]
    public async Task A_damaged_header_of_a_synced_segment_is_corruption_and_changes_nothing()
    {
        await using WalBench bench = await WithRecordsAsync(10, 3000);
        bench.Sync();
        await bench.AppendAsync(10);
        await bench.HandOverAsync();
        await bench.KillAsync();
        string name = WalSegment.NameOf(bench[1].Position.Segment);
        bench.Disk.BytesOf(name)[SegmentFiles.HeaderAt + 30] ^= 1;
        AssertCorrupt(bench);
        Assert.Contains(name, bench.Disk.List());
        Assert.Empty(bench.Disk.SetAsidePlaces);
    }

    // Goal: records that nobody can read are never deleted, even when nothing proves that they were synced.
    [Fact]
    public async Task A_damaged_header_of_an_unsynced_segment_is_set_aside()
    {
        await using WalBench bench = await WithRecordsAsync(10, 3000);
        await bench.KillAsync();
        string name = WalSegment.NameOf(bench[1].Position.Segment);
        bench.Disk.BytesOf(name)[SegmentFiles.HeaderAt + 30] ^= 1;
        bench.Replay();
        Assert.Equal(0ul, bench.Last);
        Assert.DoesNotContain(name, bench.Disk.List());
        Assert.Equal([name], bench.Disk.FilesIn(Assert.Single(bench.Disk.SetAsidePlaces)));
    }

    // Goal: a power loss may take the header page of an unsynced segment and leave the segment behind it.
    [Fact]
    public async Task An_unsynced_segment_without_its_header_page_takes_the_later_ones_with_it()
    {
        await using WalBench bench = await WithRecordsAsync(12, 250_000);
        bench.Release(3);
        await bench.KillAsync();
        string first = WalSegment.NameOf(bench[4].Position.Segment);
        bench.Disk.BytesOf(first).AsSpan(0, 512).Clear();
        bench.Replay();
        Assert.Equal(3ul, bench.Last);
    }

    [Fact]
    public async Task A_prepared_file_that_was_never_begun_is_deleted()
    {
        await using WalBench bench = await WithRecordsAsync(3, 3000);
        await bench.KillAsync();
        using (bench.Disk.Create(WalSegment.NameOf(77), WalBench.SegmentBytes))
            bench.Replay();
        Assert.Equal(3ul, bench.Last);
        Assert.DoesNotContain(WalSegment.NameOf(77), bench.Disk.List());
        Assert.Empty(bench.Disk.SetAsidePlaces);
    }

    [Fact]
    public async Task A_foreign_file_under_a_segment_s_name_is_set_aside()
    {
        await using WalBench bench = await WithRecordsAsync(3, 3000);
        await bench.KillAsync();
        using (IWalFile file = bench.Disk.Create(WalSegment.NameOf(77), 4096)) file.Write(0, "not a segment"u8);
        bench.Replay();
        Assert.Equal(3ul, bench.Last);
        Assert.Single(bench.Disk.SetAsidePlaces);
    }

    [Fact]
    public async Task A_wrong_root_key_is_corruption_when_records_were_synced()
    {
        await using WalBench bench = await WithRecordsAsync(10, 3000);
        bench.Sync();
        await bench.AppendAsync(10);
        await bench.HandOverAsync();
        await bench.KillAsync();
        AssertCorrupt(bench, new byte[32]);
    }

    [Fact]
    public async Task A_newer_segment_version_is_refused()
    {
        await using WalBench bench = await WithRecordsAsync(1, 100);
        await bench.KillAsync();
        bench.Disk.BytesOf(SegmentFiles.Names(bench.Disk)[0])[SegmentFiles.HeaderAt + 8] = 2;
        var fault = Assert.Throws<StorageFaultException>(() => bench.Replay());
        Assert.Equal(FaultKind.Invalid, fault.Kind);
    }

    // Goal: a segment that was given up and comes back from a lost deletion does not shadow what took its place.
    [Fact]
    public async Task A_dropped_segment_that_comes_back_is_dropped_again()
    {
        await using WalBench bench = await WithRecordsAsync(6, 250_000);
        await bench.KillAsync();
        WalBench.Record torn = bench[2];
        string later = WalSegment.NameOf(bench[6].Position.Segment);
        byte[] ghost = [.. bench.Disk.BytesOf(later)];
        SegmentFiles.BytesOf(bench.Disk, torn)[70] ^= 1;
        bench.Replay();
        Assert.Equal(1ul, bench.Last);
        await bench.Wal.StartEpochAsync(9, Guid.NewGuid(), 1, TestContext.Current.CancellationToken);
        await bench.AppendAsync(100);
        await bench.AppendAsync(100);
        await bench.HandOverAsync();
        await bench.KillAsync();
        Assert.DoesNotContain(later, bench.Disk.List());
        using (IWalFile file = bench.Disk.Create(later, ghost.Length)) file.Write(0, ghost);
        bench.Replay();
        Assert.Equal(3ul, bench.Last);
        Assert.DoesNotContain(later, bench.Disk.List());
    }

    private static async Task<WalBench> WithRecordsAsync(int count, int payloadBytes)
    {
        var bench = new WalBench();
        await bench.OpenAsync();
        for (int i = 0; i < count; i++) await bench.AppendAsync(payloadBytes);
        await bench.HandOverAsync();
        return bench;
    }

    private static void AssertCorrupt(WalBench bench, byte[]? rootKey = null)
    {
        var fault = Assert.Throws<StorageFaultException>(() => bench.Replay(rootKey));
        Assert.Equal(FaultKind.Corrupt, fault.Kind);
    }
}
