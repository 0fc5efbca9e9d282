namespace ZeroFlow.SystemTests.Running;

/// <summary>Runs a command-line tool to its end.</summary>
internal static class Tool
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    /// <summary>Returns what the tool printed; a status other than zero fails the test with what it said.</summary>
    public static async Task<string> RunAsync(string tool, params string[] arguments)
    {
        var (status, said, output) = await TryAsync(tool, arguments);
        if (status != 0) Assert.Fail($"{tool} {string.Join(' ', arguments)} ended with {status}:\n{said}");
        return output;
    }

    public static async Task<(int Status, string Said, string Output)> TryAsync(string tool, params string[] arguments)
    {
        Require.Tool(tool);
        await using var process = ChildProcess.Start(tool, arguments);
        var status = await process.ExitAsync(Patience);
        return (status, process.Said, process.Output);
    }
}
