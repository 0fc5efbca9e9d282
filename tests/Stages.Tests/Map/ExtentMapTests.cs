using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Map;

namespace ZeroFlow.Stages.Tests.Map;

// The map is compared with an array that holds one value a byte.
public sealed class ExtentMapTests
{
    private const int Space = 4096;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Random_sets_and_clears_read_like_an_array_of_bytes(int seed)
    {
        var random = new Random(seed);
        var map = new ExtentMap<Stamp>();
        var model = new (int Id, long Byte)[Space];
        for (int step = 1; step <= 3000; step++)
        {
            BlockRange range = RandomRange(random);
            bool clear = random.Next(4) == 0;
            var removed = new List<Extent<Stamp>>();
            if (clear) map.Clear(range, removed);
            else map.Set(range, new Stamp(step, 0), removed);

            long expectedRemoved = model.AsSpan((int)range.Offset, (int)range.Length).ToArray().Count(m => m.Id != 0);
            Assert.Equal(expectedRemoved, removed.Sum(r => r.Range.Length));
            Assert.All(removed, r => Assert.Equal(model[r.Range.Offset], (r.Value.Id, r.Value.Byte)));
            for (long at = range.Offset; at < range.End; at++)
                model[at] = clear ? default : (step, at - range.Offset);
            if (step % 50 == 0) AssertSame(map, model);
        }

        AssertSame(map, model);
    }

    [Fact]
    public void A_large_range_replaces_thousands_of_small_ones_at_once()
    {
        var map = new ExtentMap<Stamp>();
        for (int i = 0; i < 10_000; i++) map.Set(new BlockRange(i * 8L, 4), new Stamp(i + 1, 0));
        Assert.Equal(10_000, map.Count);

        var removed = new List<Extent<Stamp>>();
        map.Set(new BlockRange(2, 79_000), new Stamp(-1, 0), removed);

        Assert.Equal(9_876, removed.Count);
        Assert.Equal(map.Count, map.All().Count());
        Assert.Equal(new BlockRange(0, 2), map.All().First().Range);
    }

    [Fact]
    public void Collect_clips_at_both_ends_and_leaves_gaps_out()
    {
        var map = new ExtentMap<Stamp>();
        map.Set(new BlockRange(10, 10), new Stamp(1, 0));
        map.Set(new BlockRange(30, 10), new Stamp(2, 0));
        var found = new List<Extent<Stamp>>();

        map.Collect(new BlockRange(15, 20), found);

        Assert.Equal(
            [new Extent<Stamp>(new BlockRange(15, 5), new Stamp(1, 5)), new Extent<Stamp>(new BlockRange(30, 5), new Stamp(2, 0))],
            found);
    }

    private static BlockRange RandomRange(Random random)
    {
        long offset = random.Next(Space - 1);
        long length = 1 + random.Next((int)Math.Min(random.Next(10) == 0 ? 2000 : 60, Space - offset));
        return new BlockRange(offset, length);
    }

    private static void AssertSame(ExtentMap<Stamp> map, (int Id, long Byte)[] model)
    {
        var bytes = new (int Id, long Byte)[Space];
        long last = 0;
        foreach (Extent<Stamp> extent in map.All())
        {
            Assert.True(extent.Range.Offset >= last, "extents are sorted and do not overlap");
            Assert.False(extent.Range.IsEmpty);
            last = extent.Range.End;
            for (long at = 0; at < extent.Range.Length; at++)
                bytes[extent.Range.Offset + at] = (extent.Value.Id, extent.Value.Byte + at);
        }

        Assert.Equal(model, bytes);
        Assert.Equal(map.Count, map.All().Count());
    }

    private readonly record struct Stamp(int Id, long Byte) : IExtentValue<Stamp>
    {
        public Stamp Skip(long bytes) => this with { Byte = Byte + bytes };
    }
}
