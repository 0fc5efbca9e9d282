using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Tests.Engine;
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

    // Whatever it answers, what it has afterwards is not what was there first.
    [Theory]
    [InlineData(Carelessness.Overwrites)]
    [InlineData(Carelessness.OverwritesAndRefuses)]
    [InlineData(Carelessness.SaysCreatedAndKeepsTheFirst)]
    [InlineData(Carelessness.ForgetsBoth)]
    public async Task A_store_that_does_not_keep_the_first_object_is_refused(Carelessness how)
    {
        await using var inner = new SimulatedObjectStore(new ManualTimeProvider());
        await using var store = new CarelessStore(inner, how);

        ObjectStoreException refusal = await Assert.ThrowsAsync<ObjectStoreException>(
            () => ConditionalWriteProbe.VerifyAsync(store, new Random(2), Cancellation));

        Assert.Equal(ObjectStoreErrorKind.Invalid, refusal.Kind);
        Assert.Contains("create-if-absent", refusal.Message, StringComparison.Ordinal);
        Assert.Empty(inner.Keys());
    }

    // A server on such a store does not begin: nothing but the probe's own object was ever written.
    [Fact]
    public async Task A_server_does_not_open_on_a_store_that_overwrites()
    {
        await using var bench = new StoreBench();
        await using var store = new CarelessStore(bench.Objects, Carelessness.Overwrites);

        StorageFaultException refusal = await Assert.ThrowsAsync<StorageFaultException>(
            () => bench.OpenOverAsync(store));

        Assert.Contains("create-if-absent", refusal.Message, StringComparison.Ordinal);
        Assert.Empty(bench.Objects.Keys());
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

    public enum Carelessness
    {
        Overwrites,
        OverwritesAndRefuses,
        SaysCreatedAndKeepsTheFirst,
        ForgetsBoth,
    }

    private sealed class CarelessStore(IObjectStore inner, Carelessness how) : IObjectStore
    {
        private int _creates;

        public string Location => inner.Location;

        public async Task<bool> TryCreateAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation)
        {
            bool isNew = await inner.TryReadAsync(key, 1 << 20, cancellation) is null;
            if (how == Carelessness.ForgetsBoth) return _creates++ == 0;
            if (isNew || how != Carelessness.SaysCreatedAndKeepsTheFirst) await inner.WriteAsync(key, body, cancellation);
            return isNew || how != Carelessness.OverwritesAndRefuses;
        }

        public Task ReadRangeAsync(string key, long offset, Memory<byte> destination, CancellationToken cancellation) =>
            inner.ReadRangeAsync(key, offset, destination, cancellation);

        public Task<byte[]?> TryReadAsync(string key, int bytesMax, CancellationToken cancellation) =>
            inner.TryReadAsync(key, bytesMax, cancellation);

        public Task WriteAsync(string key, ReadOnlyMemory<byte> body, CancellationToken cancellation) =>
            inner.WriteAsync(key, body, cancellation);

        public Task DeleteAsync(string key, CancellationToken cancellation) => inner.DeleteAsync(key, cancellation);

        public IAsyncEnumerable<ObjectEntry> ListAsync(string prefix, string? startAfter, CancellationToken cancellation) =>
            inner.ListAsync(prefix, startAfter, cancellation);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
