using System.Text.Json;

namespace ZeroFlow.SystemTests.Running;

/// <summary>Somebody who manages a server by the commands of the same program.</summary>
/// <param name="binary">The program.</param>
/// <param name="way">The options that lead to the server and let one in.</param>
internal sealed class Operator(string binary, params string[] way)
{
    /// <summary>Runs a command and returns what it printed as JSON; a status other than zero fails the test.</summary>
    public async Task<JsonElement> AskAsync(params string[] command)
    {
        var output = await Tool.RunAsync(binary, [.. command, "--json", .. way]);
        return output.Length == 0 ? default : JsonDocument.Parse(output).RootElement;
    }

    /// <summary>Runs a command that may be refused.</summary>
    public async Task<(int Status, string Said)> TryAsync(params string[] command)
    {
        var (status, said, _) = await Tool.TryAsync(binary, [.. command, .. way]);
        return (status, said);
    }

    /// <summary>The names of all exports and snapshots.</summary>
    public async Task<string[]> NamesAsync() =>
    [
        .. (await AskAsync("export", "ls")).GetProperty("exports").EnumerateArray()
            .Select(export => export.GetProperty("name").GetString()!),
    ];

    /// <summary>Waits until the server has noticed that the clients of an export are gone.</summary>
    public async Task DetachedAsync(string export)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while ((await AskAsync("export", "info", export)).GetProperty("attached").GetInt32() > 0)
            await Task.Delay(50, timeout.Token);
    }
}
