using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Tests;

public sealed class RatioTests
{
    [Fact]
    public void A_ratio_is_of_medians_with_the_range_of_the_rounds()
    {
        Ratio? ratio = Ratio.Of([(1, 10), (2, 40), (3, 20)], [(1, 10), (2, 10), (3, 40)]);
        Assert.Equal(new Ratio(2, 0.5, 4), ratio);
        Assert.Equal("2.00x, 0.50..4.00", RatioText.Of(ratio!));
    }

    [Fact]
    public void Rounds_that_one_of_them_lacks_have_no_ratio_of_their_own() =>
        Assert.Equal(new Ratio(3, 2, 2), Ratio.Of([(1, 20), (2, 40)], [(1, 10)]));

    [Fact]
    public void There_is_none_of_nothing_and_none_to_zero()
    {
        Assert.Null(Ratio.Of([], [(1, 10)]));
        Assert.Null(Ratio.Of([(1, 10)], []));
        Assert.Null(Ratio.Of([(1, 10)], [(2, 10)]));
        Assert.Null(Ratio.Of([(1, 10)], [(1, 0)]));
    }

    [Theory]
    [InlineData(1.234, "1.23x")]
    [InlineData(0.000384, "0.00038x")]
    [InlineData(0, "0.00x")]
    public void One_round_has_no_range_and_a_small_ratio_keeps_its_digits(double value, string text) =>
        Assert.Equal(text, RatioText.Of(new Ratio(value, value, value)));

    [Fact]
    public void The_table_of_a_comparison_has_ratio_and_range()
    {
        CompareReport report = Plots.Sample.Report(
            ["zeroflow", "qemu-nbd"],
            Plots.Sample.Run("zeroflow", 1, 100), Plots.Sample.Run("zeroflow", 2, 200),
            Plots.Sample.Run("qemu-nbd", 1, 110), Plots.Sample.Run("qemu-nbd", 2, 190));
        Assert.Contains("| read4k@1 | 150 | 150 (1.00x, 0.95..1.10) |", report.Markdown("title"), StringComparison.Ordinal);
    }
}
