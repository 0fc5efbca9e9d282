using Xunit;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class WakeSignalTests
{
    private static readonly TimeSpan Long = TimeSpan.FromHours(1);
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_wake_ends_the_sleep_that_is_under_way()
    {
        using var signal = new WakeSignal(TimeProvider.System);
        Task timed = signal.SleepAsync(Long, Cancellation);
        Assert.False(timed.IsCompleted);
        signal.Wake();
        await timed.WaitAsync(Soon, Cancellation);

        Task untimed = signal.SleepAsync(Timeout.InfiniteTimeSpan, Cancellation);
        Assert.False(untimed.IsCompleted);
        signal.Wake();
        await untimed.WaitAsync(Soon, Cancellation);
    }

    [Fact]
    public async Task Wakes_before_the_sleep_count_once()
    {
        using var signal = new WakeSignal(TimeProvider.System);
        signal.Wake();
        signal.Wake();
        await signal.SleepAsync(Long, Cancellation).WaitAsync(Soon, Cancellation);
        Task second = signal.SleepAsync(Long, Cancellation);
        Assert.False(second.IsCompleted);
        signal.Wake();
        await second.WaitAsync(Soon, Cancellation);
    }

    [Fact]
    public async Task A_sleep_ends_by_itself_and_leaves_no_wake_behind()
    {
        using var signal = new WakeSignal(TimeProvider.System);
        await signal.SleepAsync(TimeSpan.FromMilliseconds(5), Cancellation).WaitAsync(Soon, Cancellation);
        Task next = signal.SleepAsync(Long, Cancellation);
        Assert.False(next.IsCompleted);
        signal.Wake();
        await next.WaitAsync(Soon, Cancellation);
    }

    // A loop that sleeps must end with its owner, not spin.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cancelling_ends_a_sleep_with_a_fault_every_time(bool isTimed)
    {
        using var signal = new WakeSignal(TimeProvider.System);
        for (int i = 0; i < 100; i++)
        {
            using var stop = new CancellationTokenSource();
            Task sleep = signal.SleepAsync(isTimed ? Long : Timeout.InfiniteTimeSpan, stop.Token);
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sleep.WaitAsync(Soon, Cancellation));
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
                signal.SleepAsync(isTimed ? Long : Timeout.InfiniteTimeSpan, stop.Token).WaitAsync(Soon, Cancellation));
        }
    }
}
