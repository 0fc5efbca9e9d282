using Xunit;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class ByteBudgetTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void What_fits_is_taken_at_once_and_what_does_not_is_refused()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(60));
        Assert.False(budget.TryTake(41));
        Assert.True(budget.TryTake(40));
        Assert.Equal(100, budget.UsedBytes);
        budget.Return(100);
        Assert.Equal(0, budget.UsedBytes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_budget_of_nothing_is_refused(long limit) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ByteBudget(limit));

    [Fact]
    public void Returning_more_than_was_taken_is_told()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(10));
        Assert.Throws<InvalidOperationException>(() => budget.Return(11));
    }

    // A small request that would fit stays behind a large one that came first, else the large one could starve.
    [Fact]
    public async Task Waiters_are_served_in_the_order_in_which_they_came()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(80));
        Task large = budget.TakeAsync(90, Cancellation).AsTask();
        Task small = budget.TakeAsync(10, Cancellation).AsTask();
        Assert.False(budget.TryTake(1));
        Assert.False(large.IsCompleted || small.IsCompleted);
        budget.Return(70);
        await large.WaitAsync(Soon, Cancellation);
        Assert.False(small.IsCompleted);
        budget.Return(10);
        await small.WaitAsync(Soon, Cancellation);
        Assert.Equal(100, budget.UsedBytes);
    }

    [Fact]
    public async Task What_is_larger_than_the_whole_budget_is_let_in_alone()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(1));
        Task oversize = budget.TakeAsync(1000, Cancellation).AsTask();
        Assert.False(oversize.IsCompleted);
        budget.Return(1);
        await oversize.WaitAsync(Soon, Cancellation);
        Assert.False(budget.TryTake(1));
        budget.Return(1000);
        Assert.True(budget.TryTake(100));
    }

    [Fact]
    public async Task One_return_lets_in_all_that_fit()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(100));
        Task[] waiting = [.. Enumerable.Range(0, 12).Select(_ => budget.TakeAsync(10, Cancellation).AsTask())];
        budget.Return(100);
        await Task.WhenAll(waiting[..10]).WaitAsync(Soon, Cancellation);
        Assert.False(waiting[10].IsCompleted || waiting[11].IsCompleted);
        Assert.Equal(100, budget.UsedBytes);
    }

    [Fact]
    public async Task A_cancelled_waiter_takes_nothing_and_leaves_the_line()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(100));
        using var impatient = new CancellationTokenSource();
        Task first = budget.TakeAsync(100, impatient.Token).AsTask();
        Task second = budget.TakeAsync(50, Cancellation).AsTask();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        budget.Return(100);
        await second.WaitAsync(Soon, Cancellation);
        Assert.Equal(50, budget.UsedBytes);
    }

    // Room may be free for those behind one who gives up at the head of the line: nothing else would wake them.
    [Fact]
    public async Task When_the_first_in_line_gives_up_those_behind_it_that_fit_are_let_in()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(50));
        using var impatient = new CancellationTokenSource();
        Task large = budget.TakeAsync(90, impatient.Token).AsTask();
        Task small = budget.TakeAsync(20, Cancellation).AsTask();
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => large);
        await small.WaitAsync(Soon, Cancellation);
        Assert.Equal(70, budget.UsedBytes);
    }

    [Fact]
    public async Task A_fault_fails_those_who_wait_and_those_who_come()
    {
        var budget = new ByteBudget(100);
        Assert.True(budget.TryTake(100));
        Task waiting = budget.TakeAsync(1, Cancellation).AsTask();
        var cause = new InvalidOperationException("gone");
        budget.Fault(cause);
        Assert.Same(cause, await Assert.ThrowsAsync<InvalidOperationException>(() => waiting));
        Task later = budget.TakeAsync(1, Cancellation).AsTask();
        Assert.Same(cause, await Assert.ThrowsAsync<InvalidOperationException>(() => later));
        Assert.False(budget.TryTake(1));

        // What was taken before still comes back.
        budget.Return(100);
        Assert.Equal(0, budget.UsedBytes);
    }

    [Fact]
    public async Task What_exists_already_is_counted_above_the_limit_and_holds_others_back()
    {
        var budget = new ByteBudget(100);
        budget.TakeUnconditionally(250);
        Task waiting = budget.TakeAsync(10, Cancellation).AsTask();
        budget.Return(150);
        Assert.False(waiting.IsCompleted);
        budget.Return(10);
        await waiting.WaitAsync(Soon, Cancellation);
        Assert.Equal(100, budget.UsedBytes);
    }

    [Fact]
    public async Task Many_takers_never_exceed_the_limit_and_all_are_served()
    {
        const long Limit = 1000;
        var budget = new ByteBudget(Limit);
        long inside = 0;
        long worst = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(
            async () =>
            {
                var random = new Random(seed);
                for (int i = 0; i < 1000; i++)
                {
                    long bytes = random.Next(1, 400);
                    using var patience = new CancellationTokenSource();
                    ValueTask taking = budget.TakeAsync(bytes, patience.Token);
                    if (random.Next(8) == 0) await patience.CancelAsync();
                    try
                    {
                        await taking;
                    }
                    catch (OperationCanceledException)
                    {
                        continue;
                    }

                    long now = Interlocked.Add(ref inside, bytes);
                    if (now > Volatile.Read(ref worst)) Volatile.Write(ref worst, now);
                    if (random.Next(4) == 0) await Task.Yield();
                    Interlocked.Add(ref inside, -bytes);
                    budget.Return(bytes);
                }
            },
            Cancellation))).WaitAsync(Soon, Cancellation);
        Assert.InRange(worst, 1, Limit);
        Assert.Equal(0, budget.UsedBytes);
    }
}
