using ZeroFlow.SystemTests.Oracle;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Crash;

/// <summary>
/// What crash tests have in common: load, an end by force, and the comparison with what was promised.
/// </summary>
internal static class Crashes
{
    /// <summary>
    /// Runs a load for a random while, kills the server under it, and waits until every client noticed.
    /// </summary>
    public static async Task KillUnderLoadAsync(ZeroFlowServer server, Load load, int milliseconds)
    {
        var running = load.RunAsync(server.Port, CancellationToken.None);
        await Task.WhenAny(running, Task.Delay(milliseconds));
        if (running.IsFaulted) await running;
        Assert.False(server.HasExited, $"The server ended by itself under load:\n{server.Log}");
        await server.KillAsync();
        await running;
        Assert.True(load.LostConnection);
    }

    /// <summary>Reads the whole export and fails with what is not as promised.</summary>
    public static async Task AssertKeptAsync(ZeroFlowServer server, ImageHistory history, Promise promise, string when)
    {
        var breaches = history.AcceptAfterCrash(await Image.ReadAsync(server.Port, history), promise);
        if (breaches.Count == 0) return;
        var some = string.Join('\n', breaches.Take(20));
        Assert.Fail($"{when}: {breaches.Count} sectors are not as promised ({promise}):\n{some}\n{server.Log}");
    }

    /// <summary>Loses the local disk: WAL, cache and all.</summary>
    public static void Wipe(ServerSettings settings)
    {
        Directory.Delete(settings.Data, recursive: true);
        Directory.CreateDirectory(settings.Data);
    }
}
