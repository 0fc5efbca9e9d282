using System.Net.Sockets;

namespace ZeroFlow.Perf;

/// <summary>What both proxies do with a listening socket.</summary>
internal static class AcceptLoop
{
    /// <summary>Serves every client until it is told to stop, and then waits for those that are left.</summary>
    public static async Task RunAsync(
        Socket listener, Func<Socket, CancellationToken, Task> serve, CancellationToken stop)
    {
        var open = new List<Task>();
        try
        {
            while (true)
            {
                var client = await listener.AcceptAsync(stop);
                open.RemoveAll(task => task.IsCompleted);
                open.Add(serve(client, stop));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(open);
        }
    }
}
