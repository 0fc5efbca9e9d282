using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Stages.ObjectStores;

/// <summary>
/// Counts and times each attempt on a store: the base of the cost figures. Goes below the retries, so that they count.
/// Thread-safe.
/// </summary>
/// <remarks>
/// A listing counts as one request for each 1000 entries or part of them, which is what S3 charges for. Its time is that
/// of the store alone, without what the caller does between entries.
/// </remarks>
public sealed class MeteredObjectStore : IObjectStore
{
    /// <summary>Entries that one request of a listing brings at most.</summary>
    internal const int EntriesPerListRequest = 1000;

    private readonly IObjectStore _inner;
    private readonly TimeProvider _time;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _bytes;
    private readonly Histogram<double> _seconds;

    /// <summary>
    /// Makes the instruments and puts them around <paramref name="inner"/>, which is disposed with this store.
    /// </summary>
    public MeteredObjectStore(IObjectStore inner, PipelineMetrics metrics, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(inner);
        ArgumentNullException.ThrowIfNull(metrics);
        _inner = inner;
        _time = time;
        _requests = metrics.Meter.CreateCounter<long>(
            "zeroflow.store.requests", "{request}", "Requests to the object store, by type and result.");
        _bytes = metrics.Meter.CreateCounter<long>(
            "zeroflow.store.bytes", "By", "Body bytes of successful requests to the object store, by type.");
        _seconds = metrics.Meter.CreateHistogram<double>(
            "zeroflow.store.request.duration", "s", "Time of a request to the object store, by type.");
    }

    /// <inheritdoc/>
    public string Location => _inner.Location;

    /// <inheritdoc/>
    public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
        MeasureAsync(
            "get",
            async () =>
            {
                await _inner.ReadRangeAsync(key, offset, destination, cancellation);
                return true;
            },
            _ => "ok",
            _ => destination.Length);

    /// <inheritdoc/>
    public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
        MeasureAsync(
            "get",
            () => _inner.TryReadAsync(key, bytesMax, cancellation),
            body => body is null ? "missing" : "ok",
            body => body?.Length ?? 0);

    /// <inheritdoc/>
    public Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        MeasureAsync(
            "create",
            () => _inner.TryCreateAsync(key, body, cancellation),
            created => created ? "ok" : "exists",
            created => created ? body.Length : 0);

    /// <inheritdoc/>
    public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
        MeasureAsync(
            "write",
            async () =>
            {
                await _inner.WriteAsync(key, body, cancellation);
                return true;
            },
            _ => "ok",
            _ => body.Length);

    /// <inheritdoc/>
    public Task DeleteAsync(string key, CancellationToken cancellation) =>
        MeasureAsync(
            "delete",
            async () =>
            {
                await _inner.DeleteAsync(key, cancellation);
                return true;
            },
            _ => "ok",
            _ => 0);

    /// <inheritdoc/>
    public async IAsyncEnumerable<ObjectEntry> ListAsync(
        string prefix, string? startAfter, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await using IAsyncEnumerator<ObjectEntry> entries =
            _inner.ListAsync(prefix, startAfter, cancellation).GetAsyncEnumerator(cancellation);
        bool more = true;
        while (more)
        {
            List<ObjectEntry> page = await MeasureAsync("list", () => TakePageAsync(entries), _ => "ok", _ => 0);
            foreach (ObjectEntry entry in page) yield return entry;
            more = page.Count == EntriesPerListRequest;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    private static async Task<List<ObjectEntry>> TakePageAsync(IAsyncEnumerator<ObjectEntry> entries)
    {
        var page = new List<ObjectEntry>();
        while (page.Count < EntriesPerListRequest && await entries.MoveNextAsync()) page.Add(entries.Current);
        return page;
    }

    private async Task<T> MeasureAsync<T>(
        string type, Func<Task<T>> request, Func<T, string> resultOf, Func<T, long> bytesOf)
    {
        long started = _time.GetTimestamp();
        try
        {
            T answer = await request();
            Record(type, resultOf(answer), started);
            long bytes = bytesOf(answer);
            if (bytes > 0) _bytes.Add(bytes, new KeyValuePair<string, object?>("type", type));
            return answer;
        }
        catch (ObjectStoreException failure)
        {
            Record(type, ResultOf(failure.Kind), started);
            throw;
        }
        catch (OperationCanceledException)
        {
            Record(type, "cancelled", started);
            throw;
        }
    }

    private void Record(string type, string result, long started)
    {
        var tags = new TagList { { "type", type }, { "result", result } };
        _requests.Add(1, tags);
        _seconds.Record(_time.GetElapsedTime(started).TotalSeconds, new KeyValuePair<string, object?>("type", type));
    }

    /// <summary>The name of a failure in metrics.</summary>
    internal static string ResultOf(ObjectStoreErrorKind kind) => kind switch
    {
        ObjectStoreErrorKind.Transient => "transient",
        ObjectStoreErrorKind.Throttled => "throttled",
        ObjectStoreErrorKind.Denied => "denied",
        ObjectStoreErrorKind.StoreMissing => "store-missing",
        ObjectStoreErrorKind.ObjectMissing => "missing",
        ObjectStoreErrorKind.ShortBody => "short",
        ObjectStoreErrorKind.Full => "full",
        _ => "invalid",
    };
}
