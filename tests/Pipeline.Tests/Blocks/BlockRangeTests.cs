using FsCheck;
using FsCheck.Fluent;
using Xunit;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Pipeline.Tests.Blocks;

public sealed class BlockRangeTests
{
    // The answer is that of arithmetic without overflow, for whatever a client sends.
    [Fact]
    public void FitsIn_agrees_with_unbounded_arithmetic_for_hostile_values() =>
        Prop.ForAll(Hostile, Hostile, Hostile, (offset, length, size) =>
        {
            bool expected = offset >= 0 && length >= 0 && (Int128)offset + length <= size;
            return new BlockRange(offset, length).FitsIn(size) == expected;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(long.MaxValue, 1, long.MaxValue, false)]
    [InlineData(long.MaxValue, 0, long.MaxValue, true)]
    [InlineData(1, long.MaxValue, long.MaxValue, false)]
    [InlineData(0, long.MaxValue, long.MaxValue, true)]
    [InlineData(-1, 1, 10, false)]
    [InlineData(0, -1, 10, false)]
    [InlineData(long.MinValue, long.MinValue, long.MaxValue, false)]
    [InlineData(10, 0, 10, true)]
    [InlineData(11, 0, 10, false)]
    public void FitsIn_is_exact_at_the_borders(long offset, long length, long size, bool fits) =>
        Assert.Equal(fits, new BlockRange(offset, length).FitsIn(size));

    // Over a space of 64 bytes every operation can be compared with sets of bytes.
    [Fact]
    public void Overlap_containment_and_intersection_are_those_of_sets_of_bytes() =>
        Prop.ForAll(Small, Small, (a, b) =>
        {
            HashSet<long> common = [.. Bytes(a)];
            common.IntersectWith(Bytes(b));
            BlockRange both = a.Intersect(b);
            bool overlap = a.IsEmpty || b.IsEmpty || a.Overlaps(b) == (common.Count > 0);
            bool contain = b.IsEmpty || a.Contains(b) == Bytes(b).All(x => Bytes(a).Contains(x));
            return overlap && contain && a.Intersect(b).Length == b.Intersect(a).Length
                && common.SetEquals(Bytes(both)) && BlockRange.Between(a.Offset, a.End) == a;
        }).QuickCheckThrowOnFailure();

    private static Arbitrary<long> Hostile => Gen.OneOf(
        Gen.Elements(
            0L, 1, 511, 512, 513, -1, int.MaxValue, uint.MaxValue, long.MaxValue, long.MaxValue - 1, long.MinValue,
            1L << 62),
        ArbMap.Default.GeneratorFor<long>()).ToArbitrary();

    private static Arbitrary<BlockRange> Small =>
        (from offset in Gen.Choose(0, 63)
         from length in Gen.Choose(0, 64 - offset)
         select new BlockRange(offset, length))
        .ToArbitrary();

    private static IEnumerable<long> Bytes(BlockRange range)
    {
        for (long at = range.Offset; at < range.End; at++) yield return at;
    }
}
