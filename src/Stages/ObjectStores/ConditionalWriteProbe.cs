namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Proves that a store honours create-if-absent, on which fencing and commit rest: a store that ignores the condition
/// lets two writers overwrite each other's tables.
/// </summary>
public static class ConditionalWriteProbe
{
    private const string Prefix = "probe/";
    private const int BodyBytesMax = 64;

    /// <summary>
    /// Creates one object twice below <c>probe/</c>, expects the second to be refused and the first to be intact, and
    /// deletes it.
    /// </summary>
    /// <param name="store">The store, with its retries.</param>
    /// <param name="random">Makes a name that no other process uses: seed it differently in each.</param>
    /// <param name="cancellation">Gives up the wait; the object may stay behind.</param>
    /// <exception cref="ObjectStoreException">Kind Invalid: the store does not honour it. Others as usual.</exception>
    public static async Task VerifyAsync(IObjectStore store, Random random, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(random);
        var name = new byte[16];
        random.NextBytes(name);
        string key = Prefix + Convert.ToHexStringLower(name);
        byte[] first = [.. "first "u8, .. name];
        byte[] second = [.. "second "u8, .. name];
        try
        {
            // False is no verdict here: a retry may have met the object of an attempt whose reply was lost.
            await store.TryCreateAsync(key, first, cancellation);
            bool overwrote = await store.TryCreateAsync(key, second, cancellation);
            byte[]? kept = await store.TryReadAsync(key, BodyBytesMax, cancellation);
            if (overwrote || kept is null || !kept.AsSpan().SequenceEqual(first)) throw Refusal(store);
        }
        finally
        {
            await DeleteAsync(store, key, cancellation);
        }
    }

    private static async Task DeleteAsync(IObjectStore store, string key, CancellationToken cancellation)
    {
        try
        {
            await store.DeleteAsync(key, cancellation);
        }
        catch (ObjectStoreException)
        {
            // A few bytes stay behind; what the probe found out is the same, and is not to be hidden by this.
        }
    }

    private static ObjectStoreException Refusal(IObjectStore store) =>
        new(
            ObjectStoreErrorKind.Invalid,
            $"{store.Location} does not honour create-if-absent (PUT with If-None-Match: *), so two servers could " +
            "overwrite each other's data: use a store that does, such as AWS S3 or Ceph.");
}
