using System.CommandLine;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Commands;

/// <summary>Options that several commands share.</summary>
internal static class LoadArguments
{
    public static Option<string> Uri() => new("--uri")
    {
        Description = "nbd://host:port/export or nbd+unix:///export?socket=PATH",
        Required = true,
    };

    public static Option<double> Seconds(double value) => new("--seconds")
    {
        Description = "Length of a measurement, after the warm-up",
        DefaultValueFactory = _ => value,
    };

    public static Option<double> Warmup() => new("--warmup")
    {
        Description = "Seconds of load before a measurement",
        DefaultValueFactory = _ => 0.5,
    };

    public static Option<int> RegionMib() => new("--region-mib")
    {
        Description = "Offsets lie in the first so many MiB of the export",
        DefaultValueFactory = _ => 256,
    };

    public static Option<double> Ratio() => new("--ratio")
    {
        Description = "Compression ratio that the written data allows",
        DefaultValueFactory = _ => 2,
    };

    public static Option<int> Seed() => new("--seed")
    {
        Description = "Seed of offsets and data",
        DefaultValueFactory = _ => 1,
    };

    public static WorkloadCase CaseOf(string name, int depth, int connections) =>
        name.Contains('@', StringComparison.Ordinal)
            ? WorkloadCase.Parse(name)
            : new WorkloadCase(Workload.Parse(name), depth, connections);
}
