using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class ConditionalWriteProbeTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    // The retry of a lost reply meets its own object; that must not pass for a broken store, nor hide one.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_lost_reply_of_either_create_does_not_mislead_it(int createThatLosesItsReply)
    {
        var time = new ManualTimeProvider();
        var inner = new SimulatedObjectStore(time);
        int creates = 0;
        inner.FailNext(
            StoreFault.ReplyLost,
            matches: call => call.Operation == StoreOperation.Create && creates++ == createThatLosesItsReply);
        await using var store = new RetryingObjectStore(
            inner, RetryPolicy.ForOpening, new StoreHealth(time, NullLoggerFactory.Instance), time, new Random(1));
        Task probe = ConditionalWriteProbe.VerifyAsync(store, new Random(2), Cancellation);
        await time.RunUntilDoneAsync(probe, TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(1));
        Assert.Empty(inner.Keys());
    }

    [Fact]
    public async Task A_store_in_trouble_is_reported_as_such_and_not_as_broken()
    {
        await using var store = new SimulatedObjectStore(new ManualTimeProvider());
        store.Outage = ObjectStoreErrorKind.Denied;
        ObjectStoreException failure = await Assert.ThrowsAsync<ObjectStoreException>(
            () => ConditionalWriteProbe.VerifyAsync(store, new Random(2), Cancellation));
        Assert.Equal(ObjectStoreErrorKind.Denied, failure.Kind);
    }
}
