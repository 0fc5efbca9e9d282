using System.Globalization;
using ZeroFlow.SystemTests.Running;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.StandIns;

/// <summary>
/// Someone else's NBD server, to keep the tests honest: what they demand of ZeroFlow must hold for these, and what
/// these are known to lose they must notice.
/// </summary>
internal sealed class ReferenceServer : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private ReferenceServer(ChildProcess process, int port)
    {
        _process = process;
        Port = port;
    }

    public int Port { get; }

    public string Uri => $"nbd://127.0.0.1:{Port}/disk";

    public static Task<ReferenceServer> NbdkitMemoryAsync(string size) =>
        StartAsync("nbdkit", port => ["-f", "-p", $"{port}", "-i", "127.0.0.1", "memory", size]);

    public static Task<ReferenceServer> NbdkitFileAsync(string file, params string[] under) =>
        StartAsync("nbdkit", port => ["-f", "-p", $"{port}", "-i", "127.0.0.1", "file", file], under);

    public static Task<ReferenceServer> QemuAsync(string file) =>
        StartAsync("qemu-nbd", port =>
        [
            "-f", "raw", "-x", "disk", "-b", "127.0.0.1", "-p", port.ToString(CultureInfo.InvariantCulture),
            "--shared=16", "--persistent", "--discard=unmap", file,
        ]);

    public async Task KillAsync()
    {
        _process.Send(Signal.Kill);
        await _process.ExitAsync(TimeSpan.FromSeconds(10));
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private static async Task<ReferenceServer> StartAsync(
        string tool, Func<int, string[]> arguments, params string[] under)
    {
        Require.Tool(tool);
        var port = FreePorts.Take();
        string[] command = [.. under, tool, .. arguments(port)];
        var server = new ReferenceServer(ChildProcess.Start(command[0], command[1..]), port);
        for (var attempt = 0; attempt < 200; attempt++)
        {
            try
            {
                await using var client = await NbdClient.ConnectAsync(port, "disk");
                await client.DisconnectAsync();
                return server;
            }
            catch (IOException) when (!server._process.HasExited)
            {
                await Task.Delay(25, CancellationToken.None);
            }
        }

        Assert.Fail($"{tool} does not answer:\n{server._process.Said}");
        return server;
    }
}
