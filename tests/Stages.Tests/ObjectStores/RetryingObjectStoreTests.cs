using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class RetryingObjectStoreTests : IAsyncDisposable
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    private readonly ManualTimeProvider _time = new();
    private readonly SimulatedObjectStore _inner;
    private readonly StoreHealth _health;

    public RetryingObjectStoreTests()
    {
        _inner = new SimulatedObjectStore(_time);
        _health = new StoreHealth(_time, NullLoggerFactory.Instance);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _inner.DisposeAsync();

    [Theory]
    [InlineData(ObjectStoreErrorKind.Transient)]
    [InlineData(ObjectStoreErrorKind.Throttled)]
    [InlineData(ObjectStoreErrorKind.Denied)]
    [InlineData(ObjectStoreErrorKind.StoreMissing)]
    [InlineData(ObjectStoreErrorKind.Full)]
    public async Task An_upload_outlasts_an_hour_of_trouble_and_then_succeeds_by_itself(ObjectStoreErrorKind trouble)
    {
        RetryingObjectStore store = Open(RetryPolicy.ForUploads);
        _inner.Outage = trouble;
        Task<bool> upload = store.TryCreateAsync("x", new byte[10], Cancellation);
        await Assert.ThrowsAsync<TimeoutException>(
            () => _time.RunUntilDoneAsync(upload, TimeSpan.FromSeconds(5), Hour));
        Assert.False(_health.IsReachable);

        _inner.Outage = null;
        await _time.RunUntilDoneAsync(upload, Step, TimeSpan.FromSeconds(21));
        Assert.True(await upload);
        Assert.True(_health.IsReachable);
    }

    [Fact]
    public async Task A_throttled_store_gets_fewer_requests_than_a_broken_one()
    {
        int broken = await RequestsInTenMinutesAsync(ObjectStoreErrorKind.Transient);
        int throttled = await RequestsInTenMinutesAsync(ObjectStoreErrorKind.Throttled);
        Assert.InRange(broken, 100, 1000);
        Assert.InRange(throttled, 20, broken / 2);
    }

    [Fact]
    public async Task Invalid_requests_and_missing_objects_are_not_repeated()
    {
        RetryingObjectStore store = Open(RetryPolicy.ForUploads);
        _inner.FailNext(new StoreFault(ObjectStoreErrorKind.Invalid));
        await FailsAsync(ObjectStoreErrorKind.Invalid, store.WriteAsync("x", new byte[1], Cancellation));
        await FailsAsync(ObjectStoreErrorKind.ObjectMissing, store.ReadRangeAsync("x", 0, new byte[1], Cancellation));
        Assert.Equal(2, _inner.Calls.Count);
    }

    [Fact]
    public async Task A_read_gives_up_on_a_refusal_when_its_patience_is_over()
    {
        RetryingObjectStore store = Open(RetryPolicy.ForReads(TimeSpan.FromSeconds(30)));
        _inner.Outage = ObjectStoreErrorKind.Denied;
        Task read = store.ReadRangeAsync("x", 0, new byte[1], Cancellation);
        await Assert.ThrowsAsync<ObjectStoreException>(() => _time.RunUntilDoneAsync(read, Step, Hour));
        Assert.InRange(_time.Elapsed.TotalSeconds, 30, 40);
    }

    // Patience with refusals counts from the first refusal, not from the first attempt.
    [Fact]
    public async Task A_refusal_at_the_end_of_a_long_outage_is_waited_out_like_any_other()
    {
        _inner.Plant("x", new byte[1]);
        RetryingObjectStore store = Open(RetryPolicy.ForReads(TimeSpan.FromSeconds(30)));
        _inner.Outage = ObjectStoreErrorKind.Transient;
        Task read = store.ReadRangeAsync("x", 0, new byte[1], Cancellation);
        await Assert.ThrowsAsync<TimeoutException>(
            () => _time.RunUntilDoneAsync(read, TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(10)));
        _inner.Outage = ObjectStoreErrorKind.Denied;
        await Assert.ThrowsAsync<TimeoutException>(() => _time.RunUntilDoneAsync(read, Step, TimeSpan.FromSeconds(20)));
        _inner.Outage = null;
        await _time.RunUntilDoneAsync(read, Step, TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task A_short_body_is_tried_a_few_times()
    {
        _inner.Plant("x", new byte[10]);
        RetryingObjectStore store = Open(RetryPolicy.ForReads(Hour));
        _inner.FailNext(new StoreFault(ObjectStoreErrorKind.ShortBody), times: 4);
        await _time.RunUntilDoneAsync(store.ReadRangeAsync("x", 0, new byte[10], Cancellation), Step, Hour);
        Assert.Equal(5, _inner.Calls.Count);

        Task hopeless = store.ReadRangeAsync("x", 5, new byte[10], Cancellation);
        await Assert.ThrowsAsync<ObjectStoreException>(() => _time.RunUntilDoneAsync(hopeless, Step, Hour));
        Assert.Equal(10, _inner.Calls.Count);
        Assert.True(_health.IsReachable);
    }

    [Theory]
    [InlineData(ObjectStoreErrorKind.Transient)]
    [InlineData(ObjectStoreErrorKind.Denied)]
    public async Task Opening_gives_up_soon_enough_for_somebody_to_see_the_error(ObjectStoreErrorKind trouble)
    {
        RetryingObjectStore store = Open(RetryPolicy.ForOpening);
        _inner.Outage = trouble;
        Task read = store.TryReadAsync("x", 10, Cancellation);
        await Assert.ThrowsAsync<ObjectStoreException>(() => _time.RunUntilDoneAsync(read, Step, Hour));
        Assert.InRange(_time.Elapsed.TotalSeconds, 1, 25);
    }

    [Fact]
    public async Task Opening_does_not_hang_on_a_store_that_never_answers()
    {
        RetryingObjectStore store = Open(RetryPolicy.ForOpening);
        _inner.BeforeCall = (_, token) => Task.Delay(Timeout.InfiniteTimeSpan, _time, token);
        Task read = store.TryReadAsync("x", 10, Cancellation);
        await FailsAsync(ObjectStoreErrorKind.Transient, _time.RunUntilDoneAsync(read, Step, Hour));
        Assert.InRange(_time.Elapsed.TotalSeconds, 20, 35);
    }

    [Fact]
    public async Task A_create_whose_reply_was_lost_ends_as_exists_with_its_own_body()
    {
        RetryingObjectStore store = Open(RetryPolicy.ForUploads);
        _inner.FailNext(StoreFault.ReplyLost);
        Task<bool> create = store.TryCreateAsync("x", new byte[] { 1, 2, 3 }, Cancellation);
        await _time.RunUntilDoneAsync(create, Step, Hour);
        Assert.False(await create);
        Assert.Equal([1, 2, 3], _inner.Peek("x")!);
    }

    [Fact]
    public async Task Cancelling_ends_the_wait_between_attempts()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        RetryingObjectStore store = Open(RetryPolicy.ForUploads);
        _inner.Outage = ObjectStoreErrorKind.Transient;
        Task<bool> upload = store.TryCreateAsync("x", new byte[10], stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => upload);
    }

    [Fact]
    public async Task A_listing_resumes_behind_the_last_entry_that_it_gave()
    {
        for (int i = 0; i < 2500; i++) _inner.Plant($"k/{i:d5}", new byte[1]);
        int lists = 0;
        _inner.BeforeCall = (_, _) => ++lists % 2 == 0
            ? Task.FromException(new ObjectStoreException(ObjectStoreErrorKind.Transient, "every other page"))
            : Task.CompletedTask;
        RetryingObjectStore store = Open(RetryPolicy.ForUploads);
        Task<List<string>> listing = KeysAsync(store);
        await _time.RunUntilDoneAsync(listing, Step, Hour);
        Assert.Equal(_inner.Keys("k/"), await listing);
        Assert.True(lists > 3);
    }

    [Fact]
    public async Task Views_share_health_and_differ_in_patience()
    {
        RetryingObjectStore uploads = Open(RetryPolicy.ForUploads);
        RetryingObjectStore reads = uploads.With(RetryPolicy.ForReads(TimeSpan.Zero), ObjectPurpose.Read);
        _inner.Outage = ObjectStoreErrorKind.Denied;
        await FailsAsync(ObjectStoreErrorKind.Denied, reads.TryReadAsync("x", 10, Cancellation));
        Assert.False(_health.IsReachable);
        _inner.Outage = null;
        await uploads.WriteAsync("x", new byte[1], Cancellation);
        Assert.True(_health.IsReachable);
    }

    private RetryingObjectStore Open(RetryPolicy policy) => new(_inner, policy, _health, _time, new Random(42));

    private static async Task FailsAsync(ObjectStoreErrorKind kind, Task call)
    {
        ObjectStoreException failure = await Assert.ThrowsAsync<ObjectStoreException>(() => call);
        Assert.Equal(kind, failure.Kind);
    }

    private static async Task<List<string>> KeysAsync(RetryingObjectStore store)
    {
        var keys = new List<string>();
        await foreach (ObjectEntry entry in store.ListAsync("k/", null, Cancellation)) keys.Add(entry.Key);
        return keys;
    }

    private async Task<int> RequestsInTenMinutesAsync(ObjectStoreErrorKind trouble)
    {
        using var stop = new CancellationTokenSource();
        int before = _inner.Calls.Count;
        _inner.Outage = trouble;
        Task<bool> upload = Open(RetryPolicy.ForUploads).TryCreateAsync("x", new byte[10], stop.Token);
        await Assert.ThrowsAsync<TimeoutException>(
            () => _time.RunUntilDoneAsync(upload, TimeSpan.FromMilliseconds(250), TimeSpan.FromMinutes(10)));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => upload);
        return _inner.Calls.Count - before;
    }
}
