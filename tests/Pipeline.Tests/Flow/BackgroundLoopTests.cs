using Xunit;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class BackgroundLoopTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task A_fault_is_told_and_the_task_does_not_fail()
    {
        var faults = new List<Exception>();
        var cause = new InvalidOperationException("broken");
        await BackgroundLoop.Start(_ => throw cause, faults.Add, CancellationToken.None).WaitAsync(Soon, Token);
        await BackgroundLoop.Start(
            async _ =>
            {
                await Task.Yield();
                throw cause;
            },
            faults.Add,
            CancellationToken.None).WaitAsync(Soon, Token);
        Assert.Equal([cause, cause], faults);
    }

    [Fact]
    public async Task The_end_that_the_owner_asked_for_is_no_fault()
    {
        var faults = new List<Exception>();
        using var stopping = new CancellationTokenSource();
        Task loop = BackgroundLoop.Start(
            token => Task.Delay(Timeout.InfiniteTimeSpan, token), faults.Add, stopping.Token);
        Assert.False(loop.IsCompleted);
        await stopping.CancelAsync();
        await loop.WaitAsync(Soon, Token);
        Assert.Empty(faults);
    }

    // A loop that ends by a cancellation that nobody asked for has stopped working all the same.
    [Fact]
    public async Task A_cancellation_that_the_owner_did_not_ask_for_is_a_fault()
    {
        var faults = new List<Exception>();
        await BackgroundLoop.Start(
            _ => Task.FromCanceled(new CancellationToken(true)), faults.Add, CancellationToken.None)
            .WaitAsync(Soon, Token);
        Assert.IsAssignableFrom<OperationCanceledException>(Assert.Single(faults));
    }

    [Fact]
    public async Task A_loop_does_not_run_on_the_thread_that_starts_it()
    {
        using var go = new ManualResetEventSlim();
        bool released = false;
        Task loop = BackgroundLoop.Start(
            token =>
            {
                released = go.Wait(Soon, token);
                return Task.CompletedTask;
            },
            _ => { },
            CancellationToken.None);
        go.Set();
        await loop.WaitAsync(Soon, Token);
        Assert.True(released);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;
}
