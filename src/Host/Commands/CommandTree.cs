using System.CommandLine;

namespace ZeroFlow.Host.Commands;

/// <summary>The commands of <c>zeroflow</c>.</summary>
internal static class CommandTree
{
    /// <summary>Runs what <paramref name="args"/> say, and returns the exit code of the process.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output, TextWriter error)
    {
        var serve = new ServeCommand();
        var root = new RootCommand("ZeroFlow: durable block devices out of a bucket.") { serve, new VersionCommand() };

        // Arguments that begin with '@' are arguments, not files to read more of them from.
        ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            return parsed.CommandResult.Command == serve
                ? await serve.RunAsync(parsed, output, error)
                : ParseErrors.Report(ParseErrors.Of(parsed), error);
        }

        return await parsed.InvokeAsync(new InvocationConfiguration
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,

            // The host handles signals and bounds its own stop; a second handler would end the process under it.
            ProcessTerminationTimeout = null,
        });
    }
}
