using Xunit;
using ZeroFlow.Pipeline.Flow;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class CompletionBurstTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly Lock _lock = new();
    private readonly List<string> _events = [];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Items_end_in_order_and_the_listener_is_told_once_after_all_of_them()
    {
        using var over = new CountdownEvent(1);
        var listener = new Listener(this, "over", over);
        CompletionBurst.Complete([.. Enumerable.Range(0, 5).Select(i => new Item(() => Note($"{i}", listener)))]);
        Assert.True(over.Wait(Soon, Cancellation));
        Assert.Equal(["0", "1", "2", "3", "4", "over"], await EventsAsync());
    }

    [Fact]
    public async Task Every_listener_of_a_burst_is_told()
    {
        using var over = new CountdownEvent(2);
        var one = new Listener(this, "one", over);
        var two = new Listener(this, "two", over);
        CompletionBurst.Complete(
            [new Item(() => Note("0", one)), new Item(() => Note("1", two)), new Item(() => Note("2", one))]);
        Assert.True(over.Wait(Soon, Cancellation));
        Assert.Equal(["0", "1", "2", "one", "two"], await EventsAsync());
    }

    // Each burst is told of its own end: none waits for another.
    [Fact]
    public async Task A_long_list_makes_several_bursts_and_the_caller_may_reuse_it()
    {
        const int Count = (3 * CompletionBurst.ItemsMax) + 1;
        using var over = new CountdownEvent(4);
        var listener = new Listener(this, "over", over);
        List<Item> items = [.. Enumerable.Range(0, Count).Select(i => new Item(() => Note($"{i}", listener)))];
        CompletionBurst.Complete(items);
        items.Clear();
        Assert.True(over.Wait(Soon, Cancellation));
        string[] events = await EventsAsync();
        Assert.Equal(4, events.Count(text => text == "over"));
        Assert.Equal(Enumerable.Range(0, Count), events.Where(text => text != "over").Select(int.Parse).Order());
    }

    [Fact]
    public void Outside_of_a_burst_nobody_tells()
    {
        using var over = new CountdownEvent(1);
        Assert.False(CompletionBurst.TellEnd(new Listener(this, "over", over)));
        CompletionBurst.Complete(Array.Empty<Item>());
        Assert.Empty(_events);
    }

    // A simulation owns every step of its schedule.
    [Fact]
    public async Task On_a_scheduler_of_its_own_the_burst_stays_there()
    {
        var schedulers = new ConcurrentExclusiveSchedulerPair();
        using var over = new CountdownEvent(1);
        var listener = new Listener(this, "over", over);
        TaskScheduler? seen = null;
        await Task.Factory.StartNew(
            () => CompletionBurst.Complete([new Item(() =>
            {
                seen = TaskScheduler.Current;
                Note("0", listener);
            })]),
            Cancellation, TaskCreationOptions.None, schedulers.ExclusiveScheduler);
        Assert.True(over.Wait(Soon, Cancellation));
        Assert.Same(schedulers.ExclusiveScheduler, seen);
        Assert.Equal(["0", "over"], await EventsAsync());
    }

    private void Note(string text, Listener listener)
    {
        lock (_lock) _events.Add(text);
        Assert.True(CompletionBurst.TellEnd(listener));
    }

    // A little later, so that what came too often would be there.
    private async Task<string[]> EventsAsync()
    {
        await Task.Delay(20, Cancellation);
        lock (_lock) return [.. _events];
    }

    private sealed class Item(Action end) : IBurstItem
    {
        public void End() => end();
    }

    private sealed class Listener(CompletionBurstTests test, string name, CountdownEvent over) : IBurstListener
    {
        public void OnBurstEnd()
        {
            lock (test._lock) test._events.Add(name);
            over.Signal();
        }
    }
}
