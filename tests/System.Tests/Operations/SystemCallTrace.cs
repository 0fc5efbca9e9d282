using System.Text.RegularExpressions;

namespace ZeroFlow.SystemTests.Operations;

/// <summary>One system call of a trace: when it began and ended, counted in lines, and what it was about.</summary>
internal sealed record SystemCall(string Name, string Text, int Began, int Ended, bool Succeeded)
{
    /// <summary>The file behind the first argument, as strace -y shows it.</summary>
    public string Path => PathPattern.Match(Text) is { Success: true } match ? match.Groups[1].Value : "";

    private static readonly Regex PathPattern = new(@"^\w+\(\d+<([^>]*)>", RegexOptions.Compiled);
}

/// <summary>
/// Reads what <c>strace -f -y -o</c> wrote, joining calls that other threads interrupted in the text.
/// </summary>
internal static partial class SystemCallTrace
{
    /// <summary>What to run a program under to have its writes, syncs and sends in <paramref name="file"/>.</summary>
    public static string[] Command(string file) =>
    [
        "strace", "-f", "-y", "-qq", "-o", file, "-e", "signal=none",
        "-e", "trace=openat,link,linkat,rename,renameat2,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sendto,sendmsg",
    ];

    public static IReadOnlyList<SystemCall> Read(string file)
    {
        var calls = new List<SystemCall>();
        var unfinished = new Dictionary<string, (string Text, int Began)>();
        foreach (var (index, line) in File.ReadLines(file).Index())
        {
            var match = Line().Match(line);
            if (!match.Success) continue;
            var (thread, text) = (match.Groups[1].Value, match.Groups[2].Value);
            if (text.EndsWith("<unfinished ...>", StringComparison.Ordinal))
            {
                unfinished[thread] = (text[..^"<unfinished ...>".Length], index);
                continue;
            }

            var began = index;
            if (Resumed().Match(text) is { Success: true } resumed && unfinished.Remove(thread, out var start))
            {
                text = start.Text + text[resumed.Length..];
                began = start.Began;
            }

            if (Name().Match(text) is { Success: true } name)
            {
                calls.Add(new SystemCall(name.Groups[1].Value, text, began, index, !Failed().IsMatch(text)));
            }
        }

        return calls;
    }

    [GeneratedRegex(@"^(\d+)\s+(.*)$")]
    private static partial Regex Line();

    [GeneratedRegex(@"^<\.\.\. \w+ resumed>")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(\w+)\(")]
    private static partial Regex Name();

    [GeneratedRegex(@"= -1 E\w+ \([^)]*\)$")]
    private static partial Regex Failed();
}
