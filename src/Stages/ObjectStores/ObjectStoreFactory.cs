using Microsoft.Extensions.Logging;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>Opens the object store that a URL names.</summary>
public static class ObjectStoreFactory
{
    /// <summary>
    /// Opens <c>file:///directory</c> or <c>s3://bucket/prefix?endpoint=...</c>. A directory is made when its parent
    /// exists; a bucket is not asked for before the first call. The caller disposes the store.
    /// </summary>
    /// <param name="url">The store; the query keys of s3 are those of <see cref="S3StoreOptions.Parse"/>.</param>
    /// <param name="time">Runs timeouts.</param>
    /// <param name="loggers">Gets a line that says how the store was understood.</param>
    /// <returns>The bare store, one attempt per call: put <see cref="MeteredObjectStore"/> and then
    /// <see cref="RetryingObjectStore"/> around it.</returns>
    /// <exception cref="ObjectStoreException">The URL or the directory is of no use; one sentence says why.</exception>
    public static IObjectStore Open(string url, TimeProvider time, ILoggerFactory loggers)
    {
        ArgumentNullException.ThrowIfNull(url);
        ArgumentNullException.ThrowIfNull(loggers);
        string scheme = url.Split("://", 2)[0];
        IObjectStore store = scheme switch
        {
            "file" => DirectoryObjectStore.Open(ParseDirectory(url), time),
            "s3" => new S3ObjectStore(S3StoreOptions.Parse(url), time),
            _ => throw Refusal($"'{url}' does not name an object store"),
        };
        loggers.CreateLogger(typeof(ObjectStoreFactory)).LogInformation("Object store: {Location}", store.Location);
        return store;
    }

    private static string ParseDirectory(string url)
    {
        bool isPath = Uri.TryCreate(url, UriKind.Absolute, out Uri? file) && file.Host.Length == 0 &&
            url.StartsWith("file:///", StringComparison.Ordinal);
        if (!isPath) throw Refusal($"'{url}' holds no absolute path");
        if (file!.Query.Length > 0 || file.Fragment.Length > 0)
            throw Refusal($"'{url}' has a query or a fragment, which a directory does not take");
        if (file.LocalPath.Length < 2) throw Refusal("The root directory cannot be an object store");
        return file.LocalPath;
    }

    private static ObjectStoreException Refusal(string what) =>
        new(
            ObjectStoreErrorKind.Invalid,
            $"{what}: use file:///directory, or s3://bucket/prefix with endpoint, region and path-style as its query.");
}
