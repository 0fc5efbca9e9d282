namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// The small part of an object store that a chain of tables needs: immutable named objects, created only if absent.
/// Thread-safe. Keys are relative to the store's prefix and use <c>/</c>.
/// </summary>
/// <remarks>
/// Every failure is an <see cref="ObjectStoreException"/>, whose kind says whether trying again can help. An
/// implementation makes one attempt for each call, apart from what its client library must retry by itself;
/// the retrying decorator adds the patience.
/// </remarks>
public interface IObjectStore : IAsyncDisposable
{
    /// <summary>Where this is, for messages: <c>s3://bucket/prefix at endpoint</c>. Holds no secret.</summary>
    string Location { get; }

    /// <summary>
    /// Fills <paramref name="destination"/> from byte <paramref name="offset"/> of an object. A body that is shorter or
    /// longer than asked for is a failed read (<see cref="ObjectStoreErrorKind.ShortBody"/>), never a partial success.
    /// </summary>
    Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation);

    /// <summary>
    /// Reads a whole object of at most <paramref name="bytesMax"/> bytes, or null when there is none of that name.
    /// </summary>
    Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation);

    /// <summary>
    /// Creates an object, atomically, only if there is none of that name, and returns once it is durable.
    /// </summary>
    /// <returns>False when an object of that name exists, which may be the result of an earlier attempt whose reply was lost.</returns>
    /// <remarks>The body is borrowed until the task completes.</remarks>
    Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation);

    /// <summary>Creates or replaces an object, atomically; durable when the task completes.</summary>
    Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation);

    /// <summary>Deletes an object; one that is not there counts as deleted.</summary>
    Task DeleteAsync(string key, CancellationToken cancellation);

    /// <summary>
    /// Lists the objects whose key begins with <paramref name="prefix"/> and sorts, by bytes, after
    /// <paramref name="startAfter"/> (null for all), in that order.
    /// </summary>
    IAsyncEnumerable<ObjectEntry> ListAsync(string prefix, string? startAfter, CancellationToken cancellation);
}

/// <summary>One line of a listing.</summary>
/// <param name="Key">Key relative to the store's prefix.</param>
/// <param name="SizeBytes">Size of the object.</param>
public readonly record struct ObjectEntry(string Key, long SizeBytes);
