using ZeroFlow.Perf.Plots;

namespace ZeroFlow.Perf.Tests.Plots;

public sealed class PlotScaleTests
{
    [Theory]
    [InlineData(1, new[] { 0, 0.5, 1 })]
    [InlineData(278_104, new double[] { 0, 100_000, 200_000 })]
    [InlineData(41, new double[] { 0, 20, 40 })]
    [InlineData(0, new[] { 0, 0.5, 1 })]
    [InlineData(double.NaN, new[] { 0, 0.5, 1 })]
    public void A_linear_axis_begins_at_zero_and_has_round_ticks(double largest, double[] ticks) =>
        Assert.Equal(ticks, PlotScale.Linear(largest, 10, 100).Ticks);

    [Fact]
    public void A_linear_axis_keeps_proportions_and_its_ends()
    {
        PlotScale scale = PlotScale.Linear(200, 10, 100);
        Assert.Equal([10, 35, 60, 110, 110, 10], new double[] { 0, 50, 100, 200, 201, -1 }.Select(scale.At));
    }

    [Theory]
    [InlineData(new double[] { 28, 85_000 }, new double[] { 10, 100, 1000, 10_000, 100_000 })]
    [InlineData(new double[] { 10 }, new double[] { 10, 100 })]
    [InlineData(new double[] { 0, 5 }, new double[] { 1, 10 })]
    [InlineData(new double[] { 0 }, new double[] { 1, 10 })]
    [InlineData(new double[] { }, new double[] { 1, 10 })]
    public void A_logarithmic_axis_has_whole_decades(double[] values, double[] ticks) =>
        Assert.Equal(ticks, PlotScale.Logarithmic(values, 0, 100).Ticks);

    [Fact]
    public void A_logarithmic_axis_has_the_same_length_for_the_same_ratio()
    {
        PlotScale scale = PlotScale.Logarithmic([10, 1000], 0, 100);
        Assert.Equal(0, scale.At(10), 1e-9);
        Assert.Equal(50, scale.At(100), 1e-9);
        Assert.Equal(100, scale.At(1000), 1e-9);
        Assert.Equal(0, scale.At(0), 1e-9);
        Assert.Equal(scale.At(20) - scale.At(10), scale.At(200) - scale.At(100), 1e-9);
    }

    [Theory]
    [InlineData(0, "0", "0 \u00b5s")]
    [InlineData(1500, "1.5k", "1.5 ms")]
    [InlineData(2_000_000, "2M", "2 s")]
    [InlineData(0.5, "0.5", "0.5 \u00b5s")]
    public void Ticks_are_labelled_with_units(double value, string count, string time)
    {
        Assert.Equal(count, PlotScale.CountLabel(value));
        Assert.Equal(time, PlotScale.TimeLabel(value));
    }
}
