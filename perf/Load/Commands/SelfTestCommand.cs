using System.CommandLine;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Statistics;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>selftest</c>: checks the arithmetic that every figure goes through, against exact answers.</summary>
internal static class SelfTestCommand
{
    private static readonly double[] Fractions = [0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1];

    public static Command Create()
    {
        var command = new Command("selftest", "Check the tool's own arithmetic");
        command.SetAction(_ =>
        {
            (string Name, Func<bool> Check)[] checks =
            [
                ("percentiles lie within 0.8 % above the exact nearest rank", PercentilesMatchSortedValues),
                ("merged histograms equal one histogram of all", MergingLosesNothing),
                ("medians and ranges", SpreadsAreMedians),
                ("workload names", WorkloadNamesParse),
                ("stamps show moved and missing blocks", StampsShowWrongBlocks),
                ("URIs", UrisParse),
            ];
            var failed = 0;
            foreach (var (name, check) in checks)
            {
                var passed = check();
                Console.WriteLine($"{(passed ? "ok    " : "FAILED")} {name}");
                if (!passed) failed++;
            }

            return failed == 0 ? 0 : 1;
        });
        return command;
    }

    private static bool PercentilesMatchSortedValues()
    {
        var random = new Random(7);

        // From nanoseconds to minutes, evenly over the magnitudes.
        var values = Enumerable.Range(0, 100_000).Select(_ => (long)Math.Exp(random.NextDouble() * 25)).ToArray();
        var histogram = new LatencyHistogram();
        foreach (var value in values) histogram.Record(value);
        Array.Sort(values);
        return Fractions.All(fraction =>
        {
            var exact = values[Math.Max(0, (int)Math.Ceiling(fraction * values.Length) - 1)];
            var found = histogram.PercentileNanoseconds(fraction);
            return found >= exact && found <= exact * (1 + 1.0 / 128);
        }) && histogram.MaxNanoseconds == values[^1] && histogram.TotalNanoseconds == values.Sum();
    }

    private static bool MergingLosesNothing()
    {
        var (left, right, all) = (new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram());
        for (var value = 0L; value < 3_000_000; value += 997)
        {
            (value % 2 == 0 ? left : right).Record(value);
            all.Record(value);
        }

        left.Add(right);
        return LatencySummary.Of(left) == LatencySummary.Of(all);
    }

    private static bool SpreadsAreMedians() =>
        Spread.Of([3, 1, 2]) == new Spread(2, 1, 3) && Spread.Of([4, 1, 2, 3]) == new Spread(2.5, 1, 4);

    private static bool WorkloadNamesParse()
    {
        var commit = WorkloadCase.Parse("write4k+flush@8x2");
        var stream = Workload.Parse("seqread1m");
        return commit is { Workload: { Kind: WorkloadKind.Commit, BlockBytes: 4096 }, Depth: 8, Connections: 2 } &&
            stream is { Kind: WorkloadKind.Transfer, BlockBytes: 1024 * 1024, Sequential: true, Writes: false } &&
            Throws(() => Workload.Parse("read4k+flush")) && Throws(() => WorkloadCase.Parse("read4k@0"));
    }

    private static bool StampsShowWrongBlocks()
    {
        var block = new byte[2 * PayloadPool.PieceBytes];
        BlockStamp.Write(block, 65536);
        var right = BlockStamp.FindWrong(block, 65536) == -1;
        var moved = BlockStamp.FindWrong(block, 0) == 0;
        block.AsSpan(PayloadPool.PieceBytes).Clear();
        return right && moved && BlockStamp.FindWrong(block, 65536) == 65536 + PayloadPool.PieceBytes;
    }

    private static bool UrisParse() =>
        NbdUri.Parse("nbd://127.0.0.1:1234/a%20b") == new NbdUri("127.0.0.1", 1234, null, "a b") &&
        NbdUri.Parse("nbd://host/") == new NbdUri("host", 10809, null, "") &&
        NbdUri.Parse("nbd+unix:///e?socket=/run/s") == new NbdUri("", 0, "/run/s", "e") &&
        Throws(() => NbdUri.Parse("http://host/"));

    private static bool Throws(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (FormatException)
        {
            return true;
        }
    }
}
