using System.Runtime.CompilerServices;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Simulation.World;

/// <summary>
/// The bucket as one process reaches it. A request lives in the network, not in the process: it goes on when its caller
/// gives up or is killed, and may take effect long after.
/// </summary>
internal sealed class SimulatedBucket(SimulatedProcess network, SimulatedProcess client, SimulatedObjectStore objects)
    : IObjectStore
{
    public string Location => objects.Location;

    public async Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        byte[] body = new byte[destination.Length];
        await Send(() => objects.ReadRangeAsync(key, offset, body, CancellationToken.None)).WaitAsync(cancellation);
        body.CopyTo(destination);
    }

    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        Send(() => objects.TryReadAsync(key, bytesMax, CancellationToken.None)).WaitAsync(cancellation);

    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        byte[] copy = body.ToArray();
        return Send(() => objects.TryCreateAsync(key, copy, CancellationToken.None)).WaitAsync(cancellation);
    }

    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        byte[] copy = body.ToArray();
        return Send(() => objects.WriteAsync(key, copy, CancellationToken.None)).WaitAsync(cancellation);
    }

    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        Send(() => objects.DeleteAsync(key, CancellationToken.None)).WaitAsync(cancellation);

    // What was listed may be old by the time that it arrives.
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        List<ObjectEntry> entries = await Send(async () =>
        {
            List<ObjectEntry> listed = [];
            await foreach (ObjectEntry entry in objects.ListAsync(prefix, startAfter, CancellationToken.None))
                listed.Add(entry);
            await network.Sleep(network.World.Between(0, 200));
            return listed;
        }).WaitAsync(cancellation);
        foreach (ObjectEntry entry in entries) yield return entry;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task<T> Send<T>(Func<Task<T>> request)
    {
        network.World.Note(client.Number);
        return network.Run(request);
    }

    private Task Send(Func<Task> request)
    {
        network.World.Note(client.Number);
        return network.Run(request);
    }
}
