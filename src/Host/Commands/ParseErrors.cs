using System.CommandLine;
using System.CommandLine.Parsing;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Commands;

/// <summary>Tells what the command-line parser did not understand.</summary>
internal static class ParseErrors
{
    /// <summary>
    /// What the parser found. Of arguments that belong to no option only the option-like part is repeated:
    /// somebody may have tried to pass a secret.
    /// </summary>
    public static ConfigurationErrors Of(ParseResult parsed)
    {
        var errors = new ConfigurationErrors();
        bool hideNext = false;
        foreach (string token in parsed.UnmatchedTokens)
        {
            bool isOption = token.StartsWith('-');
            if (isOption)
                errors.Add($"There is no option {token.Split('=')[0]}; see zeroflow {CommandName(parsed)}--help.");
            else if (!hideNext)
                errors.Add($"\"{token}\" is neither a command nor an option; see zeroflow --help.");
            hideNext = isOption;
        }

        // The messages about unmatched arguments repeat them whole; those about single options do not come here twice.
        foreach (ParseError error in parsed.Errors.Where(e => e.SymbolResult is OptionResult))
            errors.Add(error.Message);
        if (!errors.Any && parsed.Errors.Count > 0) errors.Add("A command is missing; see zeroflow --help.");
        return errors;
    }

    /// <summary>Writes everything that is wrong, and returns the exit code for it.</summary>
    public static int Report(ConfigurationErrors errors, TextWriter error)
    {
        foreach (string message in errors.Messages) error.WriteLine($"zeroflow: {message}");
        return ExitCodes.Usage;
    }

    private static string CommandName(ParseResult parsed) =>
        parsed.CommandResult.Command is RootCommand ? "" : parsed.CommandResult.Command.Name + " ";
}
