using System.CommandLine;
using ZeroFlow.Host.Commands.Control;
using ZeroFlow.Host.Composition;
using ZeroFlow.Host.Configuration;
using ZeroFlow.Host.Serving;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow rebuild</c>: works on the bucket itself, because a store that lacks its checkpoints does not open.</summary>
internal sealed class RebuildCommand : Command
{
    private const string Text = """
        Look at a store whose checkpoints were lost or damaged, and make it open again.

        Without --apply nothing is changed. The result is exactly the committed state, or nothing is done: old data is
        never shown as new. Stop the server first; it could not be started again in any case.

        Exit codes: 0 the store is whole, or was restored; 1 it cannot be reached; 2 wrong command line; 5 there is no
        store; 8 something is to be done (see --apply), or the store cannot be restored.
        """;

    private readonly ServeOptions _options;
    private readonly Option<bool> _apply = new("--apply") { Description = "Do what is printed." };
    private readonly Option<bool> _json = new("--json") { Description = "Print JSON." };

    /// <summary>Makes the command.</summary>
    public RebuildCommand()
        : base("rebuild", Text)
    {
        _options = new ServeOptions(this, reachesStoreOnly: true);
        Add(_apply);
        Add(_json);
        SetAction(RunAsync);
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        InvocationConfiguration console = parsed.InvocationConfiguration;
        ConfigurationErrors errors = ParseErrors.Of(parsed);
        if (!ServeSettingsReader.TryReadStore(_options.Read(parsed, errors), errors, out StoreAccess? access))
            return ParseErrors.Report(errors, console.Error);
        try
        {
            RebuildReport report = await RebuildHost.RunAsync(access, parsed.GetValue(_apply), cancellation);
            new ControlOutput(console.Output, parsed.GetValue(_json)).Write(report);
            return report.Outcome is RebuildOutcome.Whole or RebuildOutcome.Restored ? ExitCodes.Success : ExitCodes.DamageFound;
        }
        catch (Exception fault) when (StartFaults.TryDescribe(fault, out _))
        {
            await console.Error.WriteLineAsync($"zeroflow: {fault.Message}");
            return fault is StorageFaultException { Kind: FaultKind.NotFound } ? ExitCodes.NotFound : ExitCodes.StartFailed;
        }
    }
}
