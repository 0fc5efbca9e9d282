using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Tests.Map;

// Frames, zeros and settled frames in layers, with checkpoints at any moment, against a model of one entry a sector.
public sealed class CommittedMapTests
{
    private const int Sector = 512;
    private const int Chunk = 16 * 1024;

    // Two pages and a bit, of which only the surroundings of the borders are used.
    private const long Size = (2 * MapPage.Span) + (3 * Chunk) + (3 * Sector);
    private static readonly long[] Neighbourhoods = [0, MapPage.Span - (4 * Chunk), (2 * MapPage.Span) - (2 * Chunk)];

    [Theory]
    [InlineData(11, 1L << 30)]
    [InlineData(12, 1L << 30)]
    [InlineData(13, 0L)]
    [InlineData(14, 0L)]
    [InlineData(15, 1000L)]
    public async Task Random_tables_and_checkpoints_read_like_an_array_of_sectors_and_count_what_lives(
        int seed, long pageBudgetBytes)
    {
        var random = new Random(seed);
        await using var bench = new MapBench(Size, pageBudgetBytes);
        var model = new Model();
        FrozenState? frozen = null;
        ulong asOf = 0;
        for (ulong number = 1; number <= 400; number++)
        {
            int table = bench.AddTable(number);
            bool settles = number > asOf + 1 && random.Next(4) == 0;
            for (int frame = 0; frame < 4; frame++)
            {
                TableEntry entry = RandomEntry(random, settles);

                // What is settled was there when it was read.
                if (settles) entry = entry with { Length = model.DataAsOf(entry.Range) };
                if (entry.Length == 0) continue;
                bench.Apply(entry, table, frame, asOf);
                model.Apply(entry, number, (table, frame, entry.Offset), asOf);
            }

            if (random.Next(10) == 0) await AssertReadsLikeAsync(bench, model);

            // A freeze and what is settled exclude each other: from here on, no settled table reads an older state.
            if (frozen is null && random.Next(5) == 0)
            {
                frozen = bench.Freeze();
                asOf = number;
                model.Remember();
            }
            else if (frozen is not null && random.Next(3) == 0)
            {
                bench.Install(frozen, await bench.FoldAsync(frozen));
                frozen = null;
            }
        }

        await AssertReadsLikeAsync(bench, model);
        if (frozen is not null) bench.Install(frozen, await bench.FoldAsync(frozen));
        await bench.CheckpointAsync();
        await AssertReadsLikeAsync(bench, model);
        Assert.Equal(0, bench.Pages.ChangedBytes);
        await AssertCountsAsync(bench);
        Assert.True(bench.Pages.ResidentBytes <= pageBudgetBytes);
    }

    [Fact]
    public async Task Zeros_over_everything_leave_no_page_and_free_every_object()
    {
        await using var bench = new MapBench(3 * MapPage.Span, 1 << 20);
        int table = bench.AddTable(1);
        bench.Apply(FrameEntry(MapPage.Span, Chunk), table, 0);
        bench.Apply(FrameEntry((2 * MapPage.Span) + Sector, Sector), table, 1);
        await bench.CheckpointAsync();
        Assert.Equal(2, bench.Map.StoredPages().Count());
        Assert.Equal(Chunk + Sector, bench.Tables[table]!.LiveBytes);

        int zero = bench.AddTable(2);
        bench.Apply(ZeroEntry(0, 3 * MapPage.Span), zero, 0);
        var hits = new List<CommittedHit>();
        Assert.True(bench.Map.TryCollect(new BlockRange(0, 3 * MapPage.Span), hits));
        Assert.All(hits, hit => Assert.Null(hit.Frame));

        await bench.CheckpointAsync();

        Assert.Empty(bench.Map.StoredPages());
        Assert.All(bench.Tables.All(), t => Assert.Equal(0, t.Table.LiveBytes));
    }

    [Fact]
    public async Task A_page_that_is_not_in_memory_is_said_to_be_missing_and_comes_with_a_wait()
    {
        await using var bench = new MapBench(MapPage.Span, 0);
        int table = bench.AddTable(1);
        bench.Apply(FrameEntry(Chunk, Chunk), table, 3);
        await bench.CheckpointAsync();
        bench.Apply(FrameEntry(4 * Chunk, Chunk), bench.AddTable(2), 0);
        var hits = new List<CommittedHit>();

        Assert.True(bench.Map.TryCollect(new BlockRange(4 * Chunk, Chunk), hits));
        Assert.Single(hits);
        Assert.False(bench.Map.TryCollect(new BlockRange(0, 6 * Chunk), hits));
        Assert.Single(hits);

        await bench.Map.CollectAsync(new BlockRange(Chunk, Chunk), hits, TestContext.Current.CancellationToken);
        Assert.Equal(new FrameKey(table, 3), hits[1].Frame!.Value.Key);
    }

    private static TableEntry RandomEntry(Random random, bool settles)
    {
        long from = Neighbourhoods[random.Next(Neighbourhoods.Length)] + (random.Next(8 * Chunk / Sector) * (long)Sector);
        from = Math.Min(from, Size - Sector);
        if (!settles && random.Next(4) == 0)
        {
            long length = random.Next(8) == 0 ? Size - from : (1 + random.Next(6 * Chunk / Sector)) * (long)Sector;
            return ZeroEntry(from, Math.Min(length, Size - from));
        }

        if (random.Next(3) == 0) from = from / Chunk * Chunk;
        long room = Math.Min(Size, ((from / Chunk) + 1) * Chunk) - from;
        TableEntry entry = FrameEntry(from, (1 + random.Next((int)(room / Sector))) * (long)Sector);
        return settles ? entry with { Kind = TableEntryKind.Settled } : entry;
    }

    private static TableEntry FrameEntry(long offset, long length) =>
        new(TableEntryKind.Frame, FrameEncoding.Zstd, MapBench.Export, offset, length, 77);

    private static TableEntry ZeroEntry(long offset, long length) =>
        new(TableEntryKind.Zero, FrameEncoding.Raw, MapBench.Export, offset, length, 0);

    private static async Task AssertReadsLikeAsync(MapBench bench, Model model)
    {
        var hits = new List<CommittedHit>();
        await bench.Map.CollectAsync(new BlockRange(0, Size), hits, TestContext.Current.CancellationToken);
        long expected = 0;
        foreach (CommittedHit hit in hits)
        {
            Assert.Equal(expected, hit.Range.Offset);
            expected = hit.Range.End;
            for (long at = hit.Range.Offset; at < hit.Range.End; at += Sector)
            {
                (int, int, long) found = hit.Frame is { } frame
                    ? (frame.Key.Table, frame.Key.Frame, frame.ExportOffset)
                    : default;
                Assert.Equal(model.At(at), found);
            }
        }

        Assert.Equal(Size, expected);
    }

    private static async Task AssertCountsAsync(MapBench bench)
    {
        Dictionary<int, long> live = await bench.RecountAsync();
        foreach (var (ordinal, table) in bench.Tables.All())
            Assert.Equal(live.GetValueOrDefault(ordinal), table.LiveBytes);
    }

    // Who wrote each sector last, and in which table of the chain.
    private sealed class Model
    {
        private readonly (ulong Number, (int Table, int Frame, long FrameStart) Frame)[] _sectors = new (ulong, (int, int, long))[Size / Sector];

        private bool[] _hadData = new bool[Size / Sector];

        // From here on, settled frames say what the sectors hold now.
        public void Remember() => _hadData = [.. _sectors.Select(s => s.Frame.Table != 0)];

        public long DataAsOf(BlockRange range)
        {
            long end = range.Offset;
            while (end < range.End && _hadData[end / Sector]) end += Sector;
            return end - range.Offset;
        }

        public (int Table, int Frame, long FrameStart) At(long offset) => _sectors[offset / Sector].Frame;

        public void Apply(in TableEntry entry, ulong number, (int Table, int Frame, long FrameStart) frame, ulong asOf)
        {
            for (long s = entry.Offset / Sector; s < entry.Range.End / Sector; s++)
            {
                if (entry.Kind == TableEntryKind.Settled && _sectors[s].Number > asOf) continue;
                _sectors[s] = (number, entry.Kind == TableEntryKind.Zero ? default : frame);
            }
        }
    }
}
