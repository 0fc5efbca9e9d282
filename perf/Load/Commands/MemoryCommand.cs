using System.CommandLine;
using System.Globalization;
using ZeroFlow.Perf.Nbd;
using ZeroFlow.Perf.Reports;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary><c>memory</c>: how large a server grows under load over its whole export.</summary>
internal static class MemoryCommand
{
    public static Command Create()
    {
        var uri = LoadArguments.Uri();
        var pid = new Option<int>("--pid") { Description = "The server's process", Required = true };
        var minutes = new Option<double>("--minutes") { DefaultValueFactory = _ => 5 };
        var workload = new Option<string>("--workload")
        {
            Description = "As for run",
            DefaultValueFactory = _ => "randwrite4k",
        };
        var depth = new Option<int>("--depth") { DefaultValueFactory = _ => 32 };
        var rate = new Option<double?>("--rate") { Description = "Open loop: requests a second" };
        var ratio = LoadArguments.Ratio();
        var every = new Option<int>("--print-every")
        {
            Description = "Seconds between lines",
            DefaultValueFactory = _ => 10,
        };
        var csv = new Option<string?>("--csv") { Description = "Write every second's sample to this file" };
        var command = new Command("memory", "Sample a server's memory while loading its whole export")
        {
            uri, pid, minutes, workload, depth, rate, ratio, every, csv,
        };
        command.SetAction(parsed =>
        {
            var options = new LoadOptions
            {
                Uri = NbdUri.Parse(parsed.GetRequiredValue(uri)),
                Case = LoadArguments.CaseOf(parsed.GetRequiredValue(workload), parsed.GetValue(depth), 1),
                Duration = TimeSpan.FromMinutes(parsed.GetValue(minutes)),
                Warmup = TimeSpan.Zero,
                RegionBytes = long.MaxValue,
                RatePerSecond = parsed.GetValue(rate),
                CompressRatio = parsed.GetValue(ratio),
                ServerPid = parsed.GetValue(pid),
            };
            return Run(options, parsed.GetValue(pid), parsed.GetValue(every), parsed.GetValue(csv));
        });
        return command;
    }

    private static int Run(LoadOptions options, int pid, int printEvery, string? csvPath)
    {
        using var runner = new LoadRunner(options);
        using var csv = csvPath is null ? null : new StreamWriter(csvPath);
        var samples = new MemorySamples(pid, csv);
        Console.WriteLine($"{"second",8} {"RSS MiB",9} {"peak MiB",9} {"requests",12} {"per second",11}");
        using var ended = new ManualResetEventSlim();
        var sampler = new Thread(() =>
        {
            for (var second = 0; ; second++)
            {
                var last = ended.Wait(TimeSpan.FromSeconds(second == 0 ? 0 : 1));
                samples.Take(second, runner.Completed, print: last || second % printEvery == 0);
                if (last) return;
            }
        });
        sampler.Start();
        LoadResult result;
        try
        {
            result = runner.Run();
        }
        finally
        {
            ended.Set();
            sampler.Join();
        }

        Console.WriteLine();
        Console.Write(ResultText.Of(result));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"Over {runner.RegionBytes / (1024 * 1024)} MiB: highest RSS sampled {samples.ResidentMaxMib:F0} MiB, " +
            $"kernel's peak {samples.PeakMib:F0} MiB, {result.Requests} requests, " +
            $"longest time without a reply: {samples.IdleSecondsMax} s"));
        return 0;
    }

    /// <summary>Reads <c>/proc/PID/status</c> once a second. Used by the sampling thread until it has ended.</summary>
    private sealed class MemorySamples(int pid, StreamWriter? csv)
    {
        private long _requestsBefore;
        private int _printedAt;
        private long _printedRequests;
        private int _idleSeconds;

        public double ResidentMaxMib { get; private set; }

        public double PeakMib { get; private set; }

        public int IdleSecondsMax { get; private set; }

        public void Take(int second, long requests, bool print)
        {
            // A server that has ended is the load's news to report.
            if (!TryReadStatus(out var resident, out var peak)) return;
            PeakMib = peak;
            ResidentMaxMib = Math.Max(ResidentMaxMib, resident);
            _idleSeconds = second > 0 && requests == _requestsBefore ? _idleSeconds + 1 : 0;
            IdleSecondsMax = Math.Max(IdleSecondsMax, _idleSeconds);
            _requestsBefore = requests;
            csv?.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{second},{resident:F1},{PeakMib:F1},{requests}"));
            if (!print) return;

            var rate = (requests - _printedRequests) / (double)Math.Max(1, second - _printedAt);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{second,8} {resident,9:F1} {PeakMib,9:F1} {requests,12} {rate,11:F0}"));
            _printedAt = second;
            _printedRequests = requests;
        }

        private bool TryReadStatus(out double resident, out double peak)
        {
            (resident, peak) = (0, 0);
            try
            {
                foreach (var line in File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/status")))
                {
                    if (line.StartsWith("VmRSS:", StringComparison.Ordinal)) resident = MibOf(line);
                    if (line.StartsWith("VmHWM:", StringComparison.Ordinal)) peak = MibOf(line);
                }
            }
            catch (IOException)
            {
                return false;
            }

            return resident > 0;
        }

        private static double MibOf(string line)
        {
            var fields = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            return long.Parse(fields[1], CultureInfo.InvariantCulture) / 1024.0;
        }
    }
}
