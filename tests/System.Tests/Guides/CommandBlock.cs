using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Guides;

/// <summary>How the commands of a block come to be run.</summary>
internal enum BlockKind
{
    /// <summary>Nothing says so.</summary>
    Unmarked,

    /// <summary>Here, by <c>sh run</c>.</summary>
    Run,

    /// <summary>In the guest, because they need the kernel's NBD client and ZFS: <c>sh guest</c>.</summary>
    Guest,

    /// <summary>By another test or script: <c>sh played-by=FILE</c>.</summary>
    Played,

    /// <summary>Not at all, for a reason out of <see cref="CommandBlock.Reasons"/>: <c>sh not-run=REASON</c>.</summary>
    NotRun,
}

/// <summary>A fenced block of commands in a page for users. The mark stands behind the language, where no reader sees it.</summary>
/// <param name="Page">The file, from the root of the project.</param>
/// <param name="Line">The line of its first command.</param>
/// <param name="Kind">How it is run.</param>
/// <param name="Argument">The file or the reason.</param>
/// <param name="Host">The machine that it is for: a, unless <c>on=</c> names another.</param>
/// <param name="Text">The commands.</param>
internal sealed partial record CommandBlock(string Page, int Line, BlockKind Kind, string Argument, char Host, string Text)
{
    /// <summary>Reasons not to run a block.</summary>
    public static IReadOnlyDictionary<string, string> Reasons { get; } = new Dictionary<string, string>
    {
        ["systemd"] = "needs a booted systemd",
        ["kernel"] = "needs a kernel module that neither this machine nor the guest has, or two kernels",
        ["bucket"] = "needs a bucket and credentials at a provider",
        ["build"] = "builds or tests the project itself",
        ["endless"] = "goes on until somebody stops it",
        ["form"] = "shows the form of a command, with parts left out",
    };

    public string Where => $"{Page}:{Line}";

    /// <summary>The programs that the block calls.</summary>
    public IEnumerable<string> Programs => Program().Matches(Continued().Replace(Text, " ")).Select(static match => match.Groups[1].Value).Distinct();

    /// <summary>The pages that tell people what to type.</summary>
    public static IEnumerable<string> Pages =>
        Directory.EnumerateFiles(ProjectRoot.File("docs/guides"), "*.md").Select(static file => "docs/guides/" + Path.GetFileName(file))
            .Append("README.md").Order(StringComparer.Ordinal);

    /// <summary>The blocks of a page, in its order.</summary>
    public static IReadOnlyList<CommandBlock> Of(string page)
    {
        string text = File.ReadAllText(ProjectRoot.File(page));
        return [.. Fence().Matches(text).Select(match => Read(page, text.AsSpan(0, match.Groups[2].Index).Count('\n') + 1, match))];
    }

    /// <summary>Lines outside of such blocks that look like commands.</summary>
    public static IEnumerable<string> Stray(string page) =>
        Indented().Matches(AnyFence().Replace(File.ReadAllText(ProjectRoot.File(page)), "")).Select(match => $"{page}: {match.Value.Trim()}");

    private static CommandBlock Read(string page, int line, Match fence)
    {
        string[] marks = fence.Groups[1].Value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string? host = marks.FirstOrDefault(static mark => mark.StartsWith("on=", StringComparison.Ordinal));
        string kind = marks.FirstOrDefault(mark => mark != host) ?? "";
        string argument = kind.Contains('=') ? kind[(kind.IndexOf('=') + 1)..] : "";
        return new(
            page, line,
            kind switch
            {
                "run" => BlockKind.Run,
                "guest" => BlockKind.Guest,
                _ when kind.StartsWith("played-by=", StringComparison.Ordinal) => BlockKind.Played,
                _ when kind.StartsWith("not-run=", StringComparison.Ordinal) => BlockKind.NotRun,
                _ => BlockKind.Unmarked,
            },
            argument, host?[3] ?? 'a', fence.Groups[2].Value);
    }

    [GeneratedRegex(@"^```(?:sh|bash|shell|console)\b(.*)\n((?s:.*?))^```$", RegexOptions.Multiline)]
    private static partial Regex Fence();

    [GeneratedRegex(@"^```(?s:.*?)^```$", RegexOptions.Multiline)]
    private static partial Regex AnyFence();

    [GeneratedRegex(@"^    +(?:sudo |zeroflow |scripts/|nbd(?:info|copy|-client)|qemu-|zpool |zfs |curl |apt-get |systemctl ).*$", RegexOptions.Multiline)]
    private static partial Regex Indented();

    [GeneratedRegex(@"\\\n")]
    private static partial Regex Continued();

    [GeneratedRegex(@"^(?:sudo )?(?:runuser -u \w+ -- )?([\w./-]+)", RegexOptions.Multiline)]
    private static partial Regex Program();
}
