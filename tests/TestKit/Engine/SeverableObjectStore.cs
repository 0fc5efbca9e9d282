using System.Runtime.CompilerServices;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.TestKit.Engine;

/// <summary>
/// One process's way to a bucket, which ends when the process is killed: what it asks for afterwards never arrives,
/// while the bucket goes on for others. Requests under way at that moment may still take effect. Thread-safe.
/// </summary>
public sealed class SeverableObjectStore(IObjectStore bucket) : IObjectStore
{
    private volatile bool _isSevered;

    /// <inheritdoc/>
    public string Location => bucket.Location;

    /// <summary>Nothing arrives any more.</summary>
    public void Sever() => _isSevered = true;

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        Way().ReadRangeAsync(key, offset, destination, cancellation);

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        Way().TryReadAsync(key, bytesMax, cancellation);

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        Way().TryCreateAsync(key, body, cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        Way().WriteAsync(key, body, cancellation);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) => Way().DeleteAsync(key, cancellation);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (ObjectEntry entry in Way().ListAsync(prefix, startAfter, cancellation)) yield return entry;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private IObjectStore Way() => _isSevered
        ? throw new ObjectStoreException(ObjectStoreErrorKind.Transient, "This process was killed.")
        : bucket;
}
