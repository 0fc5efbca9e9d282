using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Objects in a bucket of AWS S3 or of a compatible server. Thread-safe. Each call is one attempt: one HTTP request, or
/// one for each page of a listing.
/// </summary>
/// <remarks>
/// Create-if-absent is <c>PUT</c> with <c>If-None-Match: *</c>, the only condition that every serious server enforces.
/// A 409, a 5xx or a lost reply leaves open whether the object was created: those are transient, and the retry meets
/// either a free name or its own object. Reads always carry a range: the SDK hashes unranged bodies with MD5, and the
/// answer to a range names the bytes that it holds.
/// </remarks>
internal sealed class S3ObjectStore : IObjectStore
{
    private readonly S3StoreOptions _options;
    private readonly TimeProvider _time;
    private readonly S3Connection _connection;
    private readonly AmazonS3Client _client;

    /// <summary>Opens a store; nothing is sent before the first call.</summary>
    /// <param name="options">Which store.</param>
    /// <param name="time">Runs the timeouts.</param>
    /// <param name="credentials">Fixed credentials, or null for the SDK's chain.</param>
    public S3ObjectStore(S3StoreOptions options, TimeProvider time, AWSCredentials? credentials = null)
    {
        _options = options;
        _time = time;
        _connection = new S3Connection(options, credentials, time);
        _client = _connection.Client;
        Location = options.Location;
    }

    /// <inheritdoc/>
    public string Location { get; }

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (destination.IsEmpty) return Task.CompletedTask;
        return AttemptAsync("read", key, watch => ReadRangeOnceAsync(key, offset, destination, watch), cancellation);
    }

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytesMax);
        return AttemptAsync("read", key, watch => TryReadOnceAsync(key, bytesMax, watch), cancellation);
    }

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        AttemptAsync("create", key, watch => TryCreateOnceAsync(key, body, watch), cancellation);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        AttemptAsync("write", key, watch => PutAsync(key, body, onlyIfAbsent: false, watch), cancellation);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        AttemptAsync("delete", key, watch => DeleteOnceAsync(key, watch), cancellation);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var request = new ListObjectsV2Request
        {
            BucketName = _options.Bucket,
            Prefix = _options.Prefix + prefix,
            StartAfter = startAfter is null ? null : _options.Prefix + startAfter,
        };
        do
        {
            ListObjectsV2Response page = await AttemptAsync(
                "list", prefix, watch => ListPageAsync(request, watch), cancellation);
            foreach (S3Object found in page.S3Objects ?? [])
            {
                // Names that no call accepts are not ours: the markers that consoles make for folders, say.
                string key = found.Key[_options.Prefix.Length..];
                if (ObjectKey.IsValid(key)) yield return new ObjectEntry(key, found.Size ?? 0);
            }

            request.ContinuationToken = page.IsTruncated == true ? page.NextContinuationToken : null;
        }
        while (request.ContinuationToken is not null);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _connection.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<bool> ReadRangeOnceAsync(string key, long offset, Memory<byte> destination, StallWatch watch)
    {
        using GetObjectResponse answer = await GetAsync(key, offset, destination.Length, watch);
        if (answer.ContentLength != destination.Length)
            throw WrongLength(key, offset, destination.Length, answer.ContentLength);
        await ReadBodyAsync(key, offset, answer, destination, watch);
        return true;
    }

    private async Task<byte[]?> TryReadOnceAsync(string key, int bytesMax, StallWatch watch)
    {
        try
        {
            using GetObjectResponse answer = await GetAsync(key, 0, bytesMax, watch);
            long size = SizeOfObject(answer);
            if (size > bytesMax)
            {
                throw new ObjectStoreException(
                    ObjectStoreErrorKind.Invalid,
                    $"'{key}' in {Location} has {size} bytes, more than the {bytesMax} that it may have.");
            }

            if (answer.ContentLength != size) throw WrongLength(key, 0, size, answer.ContentLength);
            var body = new byte[size];
            await ReadBodyAsync(key, 0, answer, body, watch);
            return body;
        }
        catch (AmazonS3Exception error) when (S3Errors.IsPastEnd(error))
        {
            // No range fits an empty object.
            return [];
        }
        catch (AmazonS3Exception error) when (S3Errors.IsMissing(error))
        {
            return null;
        }
    }

    private async Task<bool> TryCreateOnceAsync(string key, ReadOnlyMemory<byte> body, StallWatch watch)
    {
        try
        {
            return await PutAsync(key, body, onlyIfAbsent: true, watch);
        }
        catch (AmazonS3Exception error) when (S3Errors.IsExists(error))
        {
            return false;
        }
    }

    private async Task<bool> DeleteOnceAsync(string key, StallWatch watch)
    {
        try
        {
            var request = new DeleteObjectRequest { BucketName = _options.Bucket, Key = FullKey(key) };
            await _client.DeleteObjectAsync(request, watch.Token);
        }
        catch (AmazonS3Exception error) when (S3Errors.IsMissing(error))
        {
            // Some servers say so; the object is gone, which is what was asked for.
        }

        return true;
    }

    private async Task<ListObjectsV2Response> ListPageAsync(ListObjectsV2Request request, StallWatch watch)
    {
        ListObjectsV2Response page = await _client.ListObjectsV2Async(request, watch.Token);
        bool isBroken = page.IsTruncated == true && string.IsNullOrEmpty(page.NextContinuationToken);
        if (!isBroken) return page;

        // Taken at its word, such a page would make later objects look deleted.
        throw new ObjectStoreException(
            ObjectStoreErrorKind.Transient, $"{Location} cut a listing short without saying how to go on.");
    }

    private Task<GetObjectResponse> GetAsync(string key, long offset, long length, StallWatch watch)
    {
        var request = new GetObjectRequest
        {
            BucketName = _options.Bucket,
            Key = FullKey(key),
            ByteRange = new ByteRange(offset, offset + length - 1),
        };
        return _client.GetObjectAsync(request, watch.Token);
    }

    private async Task<bool> PutAsync(
        string key, ReadOnlyMemory<byte> body, bool onlyIfAbsent, StallWatch watch)
    {
        var request = new PutObjectRequest
        {
            BucketName = _options.Bucket,
            Key = FullKey(key),
            InputStream = new UploadBody(body, watch),
            ContentType = "application/octet-stream",
            UseChunkEncoding = false,
            IfNoneMatch = onlyIfAbsent ? "*" : null,

            // TLS checks what it carries; over plain http the hash finds a damaged body before it is acknowledged.
            DisablePayloadSigning = !_options.IsPlainHttp,
        };
        await _client.PutObjectAsync(request, watch.Token);
        return true;
    }

    private async Task ReadBodyAsync(
        string key, long offset, GetObjectResponse answer, Memory<byte> destination, StallWatch watch)
    {
        // A server that ignores ranges answers 200 with the head of the object: the right length of the wrong bytes.
        long last = offset + destination.Length - 1;
        string range = string.Create(CultureInfo.InvariantCulture, $"bytes {offset}-{last}/");
        bool isRange = answer.HttpStatusCode == HttpStatusCode.PartialContent &&
            answer.ContentRange?.StartsWith(range, StringComparison.Ordinal) == true;
        if (!isRange)
        {
            throw new ObjectStoreException(
                ObjectStoreErrorKind.ShortBody,
                $"{Location} answered a read of '{key}' with {(int)answer.HttpStatusCode} and range " +
                $"'{answer.ContentRange}' instead of '{range}'.");
        }

        int filled = 0;
        while (filled < destination.Length)
        {
            int count = await answer.ResponseStream.ReadAsync(destination[filled..], watch.Token);
            if (count == 0) throw WrongLength(key, offset, destination.Length, filled);
            filled += count;
            watch.Progress();
        }
    }

    private static long SizeOfObject(GetObjectResponse answer)
    {
        string range = answer.ContentRange ?? "";
        ReadOnlySpan<char> total = range.AsSpan(range.LastIndexOf('/') + 1);
        return long.TryParse(total, NumberStyles.None, CultureInfo.InvariantCulture, out long size)
            ? size
            : answer.ContentLength;
    }

    private async Task<T> AttemptAsync<T>(
        string verb, string key, Func<StallWatch, Task<T>> attempt, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        using var watch = new StallWatch(_options.StallTimeout, _time, cancellation);
        try
        {
            return await attempt(watch);
        }
        catch (Exception error) when (S3Errors.IsRequestFailure(error))
        {
            cancellation.ThrowIfCancellationRequested();
            throw S3Errors.Classify(error, verb, key, Location);
        }
    }

    private ObjectStoreException WrongLength(string key, long offset, long expected, long actual) =>
        new(
            ObjectStoreErrorKind.ShortBody,
            $"'{key}' in {Location} gave {actual} bytes at {offset} instead of {expected}.");

    private string FullKey(string key)
    {
        ObjectKey.Check(key);
        return _options.Prefix + key;
    }
}
