using ZeroFlow.Perf.Peers;
using ZeroFlow.Perf.Plots;
using ZeroFlow.Perf.Reports;

namespace ZeroFlow.Perf.Tests.Plots;

public sealed class ComparePlotsTests
{
    private const double Rounding = 0.02;

    [Fact]
    public void Bars_are_as_long_as_their_figures_and_whiskers_reach_to_the_rounds()
    {
        CompareReport report = Sample.Report(
            ["zeroflow", "qemu-nbd"],
            Sample.Run("zeroflow", 1, 300), Sample.Run("zeroflow", 2, 100), Sample.Run("zeroflow", 3, 200),
            Sample.Run("qemu-nbd", 1, 50), Sample.Run("qemu-nbd", 2, 50), Sample.Run("qemu-nbd", 3, 50));
        SvgPicture picture = Picture(report, "requests");
        double zero = picture.Tick("0"), hundred = picture.Tick("100");
        var ours = picture.Marked("rect", "zeroflow, ");
        var theirs = picture.Marked("rect", "qemu-nbd, ");

        Assert.Equal(zero, SvgPicture.Number(ours, "x"), Rounding);
        Assert.Equal(2 * (hundred - zero), SvgPicture.Number(ours, "width"), Rounding);
        Assert.Equal((hundred - zero) / 2, SvgPicture.Number(theirs, "width"), Rounding);

        // Of the three lines of each whisker the level one; the key has one, too, above all bars.
        var whisker = Assert.Single(picture.Of("line"), line =>
            line.Attribute("class")!.Value == "ink" && line.Attribute("y1")!.Value == line.Attribute("y2")!.Value &&
            SvgPicture.Number(line, "y1") > SvgPicture.Number(ours, "y"));
        Assert.Equal(hundred, SvgPicture.Number(whisker, "x1"), Rounding);
        Assert.Equal(zero + (3 * (hundred - zero)), SvgPicture.Number(whisker, "x2"), Rounding);
        Assert.Contains("200", picture.Texts);
        Assert.Contains("50 (0.25\u00d7)", picture.Texts);
        Assert.Contains("zeroflow 200 (100 to 300); qemu-nbd 50", picture.Description, StringComparison.Ordinal);
    }

    [Fact]
    public void The_servers_CPU_is_that_of_one_request()
    {
        SvgPicture picture = Picture(
            Sample.Report(["zeroflow", "qemu-nbd"], Sample.Run("zeroflow", 1, 10_000, 0.5), Sample.Run("qemu-nbd", 1, 10_000, 0.25)), "cpu");
        double zero = picture.Tick("0"), twenty = picture.Tick("20");
        Assert.Equal(2.5 * (twenty - zero), SvgPicture.Number(picture.Marked("rect", "zeroflow, "), "width"), Rounding);
        Assert.Equal(1.25 * (twenty - zero), SvgPicture.Number(picture.Marked("rect", "qemu-nbd, "), "width"), Rounding);
        Assert.Contains("\u00b5s/request", picture.Texts);
    }

    [Fact]
    public void Percentiles_lie_on_one_logarithmic_axis()
    {
        SvgPicture picture = Picture(
            Sample.Report(
                ["zeroflow", "qemu-nbd"],
                Sample.Run("zeroflow", 1, 10, p50: 100, p99: 1000, p999: 10_000), Sample.Run("qemu-nbd", 1, 10, p50: 20, p99: 50, p999: 200)),
            "latency");
        double tenth = picture.Tick("100 \u00b5s"), decade = picture.Tick("1 ms") - tenth;
        Assert.Equal(decade, picture.Tick("10 ms") - picture.Tick("1 ms"), Rounding);
        Assert.Equal(tenth, SvgPicture.Number(picture.Marked("circle", "zeroflow, p50"), "cx"), Rounding);
        Assert.Equal(tenth + (decade * Math.Log10(0.2)), SvgPicture.Number(picture.Marked("circle", "qemu-nbd, p50"), "cx"), Rounding);
        var stroke = picture.Marked("rect", "qemu-nbd, p99.9");
        Assert.Equal(tenth + (decade * Math.Log10(2)), SvgPicture.Number(stroke, "x") + (SvgPicture.Number(stroke, "width") / 2), Rounding);
        string diamond = picture.Marked("path", "zeroflow, p99:").Attribute("d")!.Value;
        double left = double.Parse(diamond[1..diamond.IndexOf(' ', StringComparison.Ordinal)], System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(tenth + decade, left + 5, Rounding);
        Assert.Contains("100 \u00b5s, 1 ms", picture.Texts);
    }

    [Fact]
    public void Hostile_words_stay_words()
    {
        const string hostile = "</text><script>alert(1)</script>&\"'\u0000\u001b\ud800]]>";
        CompareReport report = Sample.Report([hostile], Sample.Run(hostile, 1, 10, name: hostile));
        foreach (PlotFile plot in ComparePlots.Of(report, hostile))
        {
            var picture = new SvgPicture(plot);
            Assert.DoesNotContain(picture.Elements, static element => element.Name.LocalName == "script");
            Assert.StartsWith("</text><script>alert(1)</script>&\"'\ufffd\ufffd\ufffd]]>: ", picture.Title, StringComparison.Ordinal);
            Assert.Contains(picture.Texts, static text => text.StartsWith("</text><script>", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_name_that_is_too_long_is_cut_and_not_written_over_the_bars()
    {
        string name = new('n', 500);
        SvgPicture picture = Picture(Sample.Report([name], Sample.Run(name, 1, 10)), "requests");
        var label = Assert.Single(picture.Of("text"), static text => text.Attribute("text-anchor")?.Value == "end" && text.Value.StartsWith('n'));
        Assert.EndsWith("\u2026", label.Value, StringComparison.Ordinal);
        Assert.InRange(SvgCanvas.WidthOf(label.Value), 1, SvgPicture.Number(label, "x"));
        Assert.Contains(name, picture.Description, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 0, 0)]
    [InlineData(0, 1, 0.000001)]
    [InlineData(long.MaxValue, 1e9, 1e12)]
    public void One_peer_one_case_and_any_figures_make_a_whole_picture(long requests, double cpu, double latency)
    {
        CompareReport report = Sample.Report(["zeroflow"], Sample.Run("zeroflow", 1, requests, cpu, p50: latency, p99: latency, p999: latency));
        IReadOnlyList<PlotFile> plots = ComparePlots.Of(report, "title");
        Assert.Equal(["requests", "cpu", "latency"], plots.Select(static plot => plot.Suffix));
        foreach (PlotFile plot in plots)
        {
            var picture = new SvgPicture(plot);
            string[] places = ["x", "x1", "x2", "cx", "y", "y1", "y2", "cy", "width", "height"];
            Assert.All(
                picture.Elements.SelectMany(static element => element.Attributes()).Where(one => places.Contains(one.Name.LocalName)),
                one => Assert.InRange(double.Parse(one.Value, System.Globalization.CultureInfo.InvariantCulture), 0, 10_000));
            Assert.All(
                picture.Of("rect").Skip(1),
                rect => Assert.InRange(SvgPicture.Number(rect, "x") + SvgPicture.Number(rect, "width"), 0, picture.Width));
        }
    }

    [Fact]
    public void What_was_not_measured_says_so()
    {
        CompareReport report = Sample.Report(["zeroflow", "qemu-nbd"], Sample.Run("zeroflow", 1, 10));
        foreach (PlotFile plot in ComparePlots.Of(report, "title"))
        {
            var picture = new SvgPicture(plot);
            Assert.Contains("not measured", picture.Texts);
            Assert.Contains("qemu-nbd not measured", picture.Description, StringComparison.Ordinal);
        }

        Assert.Empty(ComparePlots.Of(Sample.Report(["zeroflow"]), "title"));
    }

    [Fact]
    public void A_peer_has_its_colour_whoever_else_takes_part()
    {
        string[] colors =
        [
            .. new[] { "zeroflow,qemu-nbd", "qemu-nbd" }.Select(static peers => peers.Split(',')).Select(static peers =>
                Picture(Sample.Report(peers, [.. peers.Select(static peer => Sample.Run(peer, 1, 10))]), "requests")
                    .Marked("rect", "qemu-nbd, ").Attribute("class")!.Value),
        ];
        Assert.Equal(colors[0], colors[1]);
        Assert.NotEqual(PlotColors.ClassOf("zeroflow"), PlotColors.ClassOf("qemu-nbd"));
        Assert.Equal(
            Peer.All.Count, Peer.All.Select(static peer => PlotColors.ClassOf(peer.Name)).Where(static one => one != "cx").Distinct().Count());
    }

    [Fact]
    public void It_stands_by_itself_and_is_made_for_light_and_dark()
    {
        PlotFile plot = ComparePlots.Of(Sample.Report(["zeroflow"], Sample.Run("zeroflow", 1, 10)), "title")[0];
        var picture = new SvgPicture(plot);
        Assert.Contains("@media(prefers-color-scheme:dark)", picture.Style, StringComparison.Ordinal);
        Assert.DoesNotContain("url(", plot.Svg, StringComparison.Ordinal);
        Assert.DoesNotContain("href", plot.Svg, StringComparison.Ordinal);
        Assert.DoesNotContain("@import", plot.Svg, StringComparison.Ordinal);
        Assert.Equal("title: requests a second", picture.Title);
        Assert.Contains("zeroflow: promise of zeroflow", picture.Texts);
        Assert.Contains("4 KiB random reads, one at a time", picture.Texts);
    }

    private static SvgPicture Picture(CompareReport report, string suffix) =>
        new(ComparePlots.Of(report, "title").Single(plot => plot.Suffix == suffix));
}
