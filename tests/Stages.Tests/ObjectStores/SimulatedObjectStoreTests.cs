using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

/// <summary>The simulated store is what other tests trust: its faults have to be what they say.</summary>
public sealed class SimulatedObjectStoreTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Chance_faults_repeat_with_their_seed()
    {
        Assert.Equal(await OutcomesAsync(seed: 5), await OutcomesAsync(seed: 5));
        Assert.NotEqual(await OutcomesAsync(seed: 5), await OutcomesAsync(seed: 6));
    }

    [Fact]
    public async Task A_lost_reply_is_applied_and_a_plain_failure_is_not()
    {
        await using var store = new SimulatedObjectStore(new ManualTimeProvider());
        store.FailNext(StoreFault.ReplyLost, matches: call => call.Key == "a");
        store.FailNext(new StoreFault(ObjectStoreErrorKind.Transient), matches: call => call.Key == "b");
        await Assert.ThrowsAsync<ObjectStoreException>(() => store.TryCreateAsync("b", new byte[1], Cancellation));
        await Assert.ThrowsAsync<ObjectStoreException>(() => store.TryCreateAsync("a", new byte[1], Cancellation));
        Assert.Equal(["a"], store.Keys());
    }

    [Fact]
    public async Task Stored_bytes_can_be_damaged()
    {
        await using var store = new SimulatedObjectStore(new ManualTimeProvider());
        store.Plant("x", [1, 2, 3]);
        store.FlipByte("x", 1);
        Assert.Equal([1, 253, 3], (await store.TryReadAsync("x", 10, Cancellation))!);
        store.Truncate("x", 1);
        Assert.Equal([1], store.Peek("x")!);
        Assert.True(store.Remove("x"));
        Assert.Empty(store.Keys());
    }

    // A request that reaches the store late: what fencing has to survive.
    [Fact]
    public async Task A_held_call_takes_effect_when_it_is_let_go()
    {
        await using var store = new SimulatedObjectStore(new ManualTimeProvider());
        var gate = new TaskCompletionSource();
        store.BeforeCall = (_, _) => gate.Task;
        Task<bool> late = store.TryCreateAsync("x", new byte[1], Cancellation);
        Assert.Empty(store.Keys());
        gate.SetResult();
        Assert.True(await late);
        Assert.Equal(["x"], store.Keys());
    }

    private static async Task<string> OutcomesAsync(int seed)
    {
        await using var store = new SimulatedObjectStore(new ManualTimeProvider(), seed);
        store.Faults = new StoreFaults { TransientRate = 0.2, ThrottledRate = 0.1, ReplyLostRate = 0.1 };
        string outcomes = "";
        for (int i = 0; i < 100; i++)
        {
            try
            {
                outcomes += await store.TryCreateAsync("x", new byte[1], Cancellation) ? '+' : '-';
            }
            catch (ObjectStoreException failure)
            {
                outcomes += (char)('0' + (int)failure.Kind);
            }
        }

        return outcomes;
    }
}
