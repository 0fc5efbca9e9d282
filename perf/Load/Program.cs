using System.CommandLine;
using System.Diagnostics;
using ZeroFlow.Perf.Commands;

if (!OperatingSystem.IsLinux() || Stopwatch.Frequency != 1_000_000_000)
{
    Console.Error.WriteLine("zeroflow-perf needs Linux on a 64-bit machine.");
    return 2;
}

var root = new RootCommand("Measures NBD servers side by side, and the floors under them.")
{
    RunCommand.Create(),
    CompareCommand.Create(),
    SyncFloorCommand.Create(),
    MemoryCommand.Create(),
    SelfTestCommand.Create(),
};
return await root.Parse(args).InvokeAsync();
