using System.CommandLine;
using System.Diagnostics;
using System.Net.Sockets;
using ZeroFlow.Perf.Commands;
using ZeroFlow.Perf.Nbd;

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
    RecordCommand.Create(),
    ReplayCommand.Create(),
    CompareReplayCommand.Create(),
    UploadCommand.Create(),
    DelayCommand.Create(),
    CompareS3Command.Create(),
    ComparePgbenchCommand.Create(),
    PlotCommand.Create(),
    EmulateCommand.Create(),
    SelfTestCommand.Create(),
};
try
{
    return root.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception) when (exception is NbdException or SocketException or FormatException or IOException)
{
    Console.Error.WriteLine(exception.Message);
    return 1;
}
