using System.Net;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>A server over devices in memory, on a port of its own. When it goes, every buffer must be back.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public const int SizeBytes = 8 * 1024 * 1024;

    private TestServer(NbdServerOptions options, MemoryDevice[] devices, TimeProvider time)
    {
        Devices = devices;
        Directory = new MemoryDirectory(devices);
        Server = new NbdServer(Directory, options, Pool, Metrics, time, Errors);
    }

    public IReadOnlyList<MemoryDevice> Devices { get; }

    public MemoryDevice Device => Devices[0];

    /// <summary>What the server logged as a bug of its own.</summary>
    public ErrorLog Errors { get; } = new();

    public MemoryDirectory Directory { get; }

    public BufferPool Pool { get; } = new(64 * 1024 * 1024);

    public PipelineMetrics Metrics { get; } = new();

    public NbdServer Server { get; }

    public static NbdServerOptions DefaultOptions { get; } =
        new() { TcpEndpoints = [new IPEndPoint(IPAddress.Loopback, 0)] };

    public static ExportInfo Export(
        string name, long sizeBytes = SizeBytes, bool isReadOnly = false, bool writeThrough = false) =>
        new(new ExportId(1), name, sizeBytes, 131072, DurabilityLevel.Journaled, isReadOnly, $"{name} for tests",
            WriteThrough: writeThrough);

    public static async Task<TestServer> StartAsync(
        NbdServerOptions? options = null, TimeProvider? time = null, params ExportInfo[] exports)
    {
        if (exports.Length == 0) exports = [Export("disk")];
        var server = new TestServer(
            options ?? DefaultOptions, [.. exports.Select(e => new MemoryDevice(e))], time ?? TimeProvider.System);
        await server.Server.StartAsync(CancellationToken.None);
        return server;
    }

    public RawClient Connect(int? receiveBufferBytes = null) => new(Server.BoundEndpoints[0], receiveBufferBytes);

    public RawClient Attach(string name = "disk") => Connect().Attach(name);

    /// <summary>Waits until something that happens on other threads is so; fails when it does not come.</summary>
    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested, $"Did not come to pass: {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System, CancellationToken.None);
        }
    }

    /// <summary>Waits until a request was read for which there is no room, so that nothing more is read.</summary>
    public Task UntilOneWaitsForRoomAsync() =>
        UntilAsync(() => Metrics.Stages[0].QueueDepth == 1, "a request waits for room");

    public Task UntilConnectionsAreAsync(int count) =>
        UntilAsync(() => Server.ConnectionCount == count, $"{count} connections");

    public async ValueTask DisposeAsync()
    {
        Device.HeldOperations.Clear();
        Device.ReleaseHeld();
        await Server.DisposeAsync();
        Metrics.Dispose();
        Assert.Equal(0, Pool.RentedBytes);
        Assert.Equal(0, Metrics.Stages[0].Active);
    }
}
