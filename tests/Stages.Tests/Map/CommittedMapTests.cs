using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Compression;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Reading;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Tests.Map;

// Whole chunks and fragments, zeros over both, and the count of live bytes, against a model of one entry a sector.
public sealed class CommittedMapTests
{
    private const int Sector = 512;
    private const int Chunk = 16 * 1024;
    private const long Size = (40L * Chunk) + (3 * Sector);
    private static readonly ExportId Export = new(7);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public void Random_tables_read_like_an_array_of_sectors_and_count_what_lives(int seed)
    {
        var random = new Random(seed);
        var registry = new TableRegistry(Guid.Empty, ZstdCodec.Create());
        var map = new CommittedMap(registry, Export, Size, Chunk);
        var model = new (int Table, int Frame, long FrameStart)[Size / Sector];
        for (int step = 0; step < 400; step++)
        {
            int table = registry.Add(NewTable((ulong)step + 1));
            for (int frame = 0; frame < 4; frame++)
            {
                TableEntry entry = RandomEntry(random);
                map.Apply(entry, table, frame, 128 + (frame * 100));
                for (long s = entry.Offset / Sector; s < entry.Range.End / Sector; s++)
                    model[s] = entry.Kind == TableEntryKind.Zero ? default : (table, frame, entry.Offset);
            }
        }

        AssertReadsLike(map, model);
        AssertLiveBytesCover(registry, model);
    }

    [Fact]
    public void Zeros_over_a_whole_page_drop_it_and_free_its_tables()
    {
        const long large = 3L * CommittedMap.PageChunks * Chunk;
        var registry = new TableRegistry(Guid.Empty, ZstdCodec.Create());
        var map = new CommittedMap(registry, Export, large, Chunk);
        int table = registry.Add(NewTable(1));
        map.Apply(FrameEntry((long)CommittedMap.PageChunks * Chunk, Chunk), table, 0, 128);
        Assert.Single(map.Pages());

        map.Apply(new TableEntry(TableEntryKind.Zero, FrameEncoding.Raw, Export, 0, large, 0), table, 0, 0);

        Assert.Empty(map.Pages());
        Assert.Equal(0, registry[table]!.LiveBytes);
    }

    private static TableEntry RandomEntry(Random random)
    {
        switch (random.Next(4))
        {
            case 0:
                long chunk = random.Next((int)(Size / Chunk) + 1);
                return FrameEntry(chunk * Chunk, Math.Min(Chunk, Size - (chunk * Chunk)));
            case 1:
                long from = random.Next((int)(Size / Sector)) * (long)Sector;
                long length = (1 + random.Next((int)((Size - from) / Sector))) * (long)Sector;
                return new TableEntry(TableEntryKind.Zero, FrameEncoding.Raw, Export, from, length, 0);
            default:
                long at = random.Next((int)(Size / Sector)) * (long)Sector;
                long room = Math.Min(Size, ((at / Chunk) + 1) * Chunk) - at;
                return FrameEntry(at, (1 + random.Next((int)(room / Sector))) * (long)Sector);
        }
    }

    private static TableEntry FrameEntry(long offset, long length) =>
        new(TableEntryKind.Frame, FrameEncoding.Zstd, Export, offset, length, 77);

    private static TableInfo NewTable(ulong number) => new()
    {
        Epoch = 1,
        Number = number,
        Salt = [],
        Key = [],
        ObjectBytes = 1,
        FirstSequence = default,
        LastSequence = default,
        ObjectKey = "t",
    };

    private static void AssertReadsLike(CommittedMap map, (int Table, int Frame, long FrameStart)[] model)
    {
        var hits = new List<CommittedHit>();
        map.Collect(new BlockRange(0, Size), hits);
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
                Assert.Equal(model[at / Sector], found);
            }
        }

        Assert.Equal(Size, expected);
    }

    // A chunk keeps its frame alive as long as no whole chunk or zero replaces it, even under fragments: so the count
    // may be high, never low, and a table that the model still sees must not count as dead.
    private static void AssertLiveBytesCover(TableRegistry registry, (int Table, int Frame, long FrameStart)[] model)
    {
        var visible = model.Where(m => m.Table != 0).GroupBy(m => m.Table).ToDictionary(g => g.Key, g => (long)g.Count() * Sector);
        foreach (var (ordinal, table) in registry.All())
            Assert.True(table.LiveBytes >= visible.GetValueOrDefault(ordinal), $"table {ordinal} has {table.LiveBytes} live bytes");
    }
}
