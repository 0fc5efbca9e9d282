using System.CommandLine;

namespace ZeroFlow.Host.Commands;

/// <summary><c>zeroflow completion</c>: what a shell needs to complete command lines.</summary>
internal sealed class CompletionCommand : Command
{
    // The shells ask the program itself, so that what it completes is what it knows.
    private const string Bash = """
        _zeroflow() {
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$(zeroflow "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _zeroflow zeroflow
        """;

    private const string Zsh = """
        #compdef zeroflow
        _zeroflow() {
          local -a found
          found=("${(@f)$(zeroflow "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
          compadd -a found
        }
        compdef _zeroflow zeroflow
        """;

    private const string Fish = """
        complete -c zeroflow -f -a '(set -l line (commandline -cp); zeroflow "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null)'
        """;

    /// <summary>Makes the command.</summary>
    public CompletionCommand()
        : base("completion", "Print the completion script of a shell, for example: source <(zeroflow completion bash)")
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        Add(shell);
        SetAction(parsed =>
        {
            parsed.InvocationConfiguration.Output.WriteLine(parsed.GetRequiredValue(shell) switch
            {
                "bash" => Bash,
                "zsh" => Zsh,
                _ => Fish,
            });
            return ExitCodes.Success;
        });
    }
}
