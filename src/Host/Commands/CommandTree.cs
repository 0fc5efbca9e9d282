using System.CommandLine;
using ZeroFlow.Host.Commands.Control;
using ZeroFlow.Host.Commands.Top;

namespace ZeroFlow.Host.Commands;

/// <summary>The commands of <c>zeroflow</c>.</summary>
internal static class CommandTree
{
    private const string Text = """
        ZeroFlow: durable block devices out of a bucket.

        zeroflow serve is the server. init tries out a store and writes a configuration, doctor looks at the machine, rebuild
        works on the bucket of a server that does not start; the other commands ask a running one, over its admin address.

        Exit codes of those: 0 done; 1 no answer, it cannot be done, or something has to change; 2 wrong command line; 5 not there; 6 not possible
        now (the name is taken, clients are attached); 7 not allowed; 8 a scrub found something.
        """;

    /// <summary>Runs what <paramref name="args"/> say, and returns the exit code of the process.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output, TextWriter error)
    {
        var serve = new ServeCommand();
        var root = new RootCommand(Text) { serve, ExportCommands.Create(), ImageCommands.Import() };
        foreach (Command command in StoreCommands.Create()) root.Add(command);
        root.Add(new InitCommand());
        root.Add(new DoctorCommand());
        root.Add(new RebuildCommand());
        root.Add(TopCommand.Create());
        root.Add(new CompletionCommand());
        root.Add(new VersionCommand());

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
