using System.CommandLine;
using System.Runtime.InteropServices;
using ZeroFlow.Host.Telemetry;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow version</c>.</summary>
internal sealed class VersionCommand : Command
{
    /// <summary>Makes the command.</summary>
    public VersionCommand()
        : base("version", "Print the version of the server and its runtime.") =>
        SetAction(parsed =>
        {
            string runtime = $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier}";
            parsed.InvocationConfiguration.Output.WriteLine($"zeroflow {ProcessMetrics.Version} ({runtime})");
            return ExitCodes.Success;
        });
}
