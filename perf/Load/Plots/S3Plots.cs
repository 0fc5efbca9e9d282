using System.Globalization;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Perf.Statistics;

namespace ZeroFlow.Perf.Plots;

/// <summary>Measurements over S3 as pictures: a panel for each case at each latency.</summary>
internal static class S3Plots
{
    // Cases and plain requests have long names.
    private const int Columns = 1;

    public static IReadOnlyList<PlotFile> Of(S3Report report, string title)
    {
        var head = new PlotHead(
            title,
            [
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{PlotFile.RoundsOf(report.Rounds)} of {report.Seconds} s; the latency that a proxy adds to each S3 " +
                    $"request is log-normal, its median at the right of each heading."),
                PlotFile.PlaceOf(report.Conditions),
            ],
            [
                .. PlotFile.KeyOf(report.Promises.Keys, report.Promises, report.Rounds),
                new KeyEntry(KeyMark.Color, "plain", "plain requests to the same S3 server, through the same proxy"),
            ]);
        var groups = report.Lines.GroupBy(line => (line.Case, line.MedianMs)).ToArray();
        return
        [
            .. PlotFile.Bars(
                "rates", "rates", head.With("More is better; in parentheses: as a multiple of ZeroFlow."),
                [.. groups.Select(group => PanelOf(report, [.. group]))], Columns),
            .. PlotFile.Latencies(
                "latency", "latency",
                head.With("Less is better; between requests of the same size only: a cold read is one of 128 KiB, the GETs beside it of 4 MiB."),
                [.. groups.Select(group => (HeadingOf(group.First()), RowsOf(report, [.. group])))], Columns),
        ];
    }

    private static BarPanel PanelOf(S3Report report, IReadOnlyList<S3Line> lines)
    {
        var isByBytes = S3Comparison.IsByBytes(lines[0].Case);
        return new BarPanel(
            HeadingOf(lines[0]),
            isByBytes ? "MiB/s" : "per second",
            [
                .. lines.Select(line => new PlotBar(
                    line.Who, isByBytes ? line.MebibytesPerSecond : line.PerSecond, PlotFile.Times(report.RatioOf(line)))),
            ]);
    }

    // The lines of a report have no p99.9; its runs do.
    private static IReadOnlyList<PlotLatency> RowsOf(S3Report report, IReadOnlyList<S3Line> lines) =>
    [
        .. lines.Select(line => new PlotLatency(
            line.Who, line.P50Micros, line.P99Micros,
            Spread.Of(report.RunsOf(line.Case, line.MedianMs, line.Who).Select(run => run.Latency.P999Micros)))),
    ];

    private static PanelHeading HeadingOf(S3Line line) =>
        new(line.Case, string.Create(CultureInfo.InvariantCulture, $"{line.MedianMs} ms added"));
}
