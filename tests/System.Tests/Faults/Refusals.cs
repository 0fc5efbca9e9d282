using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Faults;

/// <summary>What a server that cannot serve must look like from outside.</summary>
internal static partial class Refusals
{
    /// <summary>
    /// The server ends with an error, and says why in one line that matches
    /// <paramref name="sentence"/>: no stack trace, no lines that the reader has to put together.
    /// </summary>
    public static async Task AssertRefusesAsync(ServerSettings settings, string sentence)
    {
        await using var server = ZeroFlowServer.Launch(settings);
        var status = await server.ExitAsync();
        Assert.True(status is > 0 and < 128, $"The server ended with {status}:\n{server.Log}");
        AssertSays(server, sentence);
    }

    /// <summary>One line of the log matches <paramref name="sentence"/>, and nothing in it is a stack trace.</summary>
    public static void AssertSays(ZeroFlowServer server, string sentence)
    {
        var lines = server.Log.Split('\n');
        Assert.True(
            lines.Any(l => Regex.IsMatch(l, sentence, RegexOptions.IgnoreCase)),
            $"Nothing like \"{sentence}\" in:\n{server.Log}");
        Assert.False(lines.Any(l => StackTrace().IsMatch(l)), $"A stack trace is no sentence:\n{server.Log}");
    }

    [GeneratedRegex(@"^\s+at [\w.<>`]+\(|Unhandled exception")]
    private static partial Regex StackTrace();
}
