using FsCheck;
using FsCheck.Fluent;
using Xunit;
using ZeroFlow.Pipeline.Barriers;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Pipeline.Tests.Barriers;

public sealed class SequenceFrontierTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    // Any cutting of 1..n into ranges, completed in any order: the frontier is the end of the unbroken run from 1,
    // and the waiters released are those at or below it, no more and no fewer.
    [Fact]
    public void Completions_in_any_order_move_the_frontier_to_the_end_of_the_unbroken_prefix() =>
        Prop.ForAll<PositiveInt[], int>((lengths, seed) =>
        {
            (ulong First, ulong Last)[] ranges = Ranges(lengths);
            ulong end = ranges.Length == 0 ? 0 : ranges[^1].Last;
            new Random(seed).Shuffle(ranges);
            var frontier = new SequenceFrontier(Sequence.Zero);
            Task[] waiters = [.. Points(end).Select(p => frontier.WhenReachedAsync(p).AsTask())];
            var done = new HashSet<ulong>();
            foreach ((ulong first, ulong last) in ranges)
            {
                frontier.Complete(new Sequence(first), new Sequence(last));
                for (ulong s = first; s <= last; s++) done.Add(s);
                ulong prefix = 0;
                while (done.Contains(prefix + 1)) prefix++;
                if (frontier.Reached.Value != prefix) return false;
                Task.WaitAll(waiters.Take((int)prefix).ToArray(), Soon);
                if (waiters.Skip((int)prefix).Any(w => w.IsCompleted)) return false;
            }

            return frontier.Reached.Value == end;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Advancing_never_goes_back()
    {
        var frontier = new SequenceFrontier(new Sequence(5));
        frontier.AdvanceTo(new Sequence(9));
        frontier.AdvanceTo(new Sequence(7));
        Assert.Equal(new Sequence(9), frontier.Reached);
        Assert.True(frontier.WhenReachedAsync(new Sequence(9)).AsTask().IsCompletedSuccessfully);
    }

    [Fact]
    public void A_sequence_completed_twice_is_told()
    {
        var frontier = new SequenceFrontier(Sequence.Zero);
        frontier.Complete(new Sequence(1), new Sequence(3));
        Assert.Throws<InvalidOperationException>(() => frontier.Complete(new Sequence(3), new Sequence(4)));
        Assert.Throws<ArgumentException>(() => frontier.Complete(new Sequence(5), new Sequence(4)));
    }

    [Fact]
    public async Task After_a_fault_no_barrier_succeeds_not_even_behind_what_was_reached()
    {
        var frontier = new SequenceFrontier(Sequence.Zero);
        frontier.Complete(new Sequence(1), new Sequence(4));
        Task waiting = frontier.WhenReachedAsync(new Sequence(9)).AsTask();
        var cause = new InvalidOperationException("lost");
        frontier.Fault(cause);
        frontier.Fault(new InvalidOperationException("a later cause"));
        Assert.Same(cause, await Assert.ThrowsAsync<InvalidOperationException>(() => waiting));
        foreach (ulong point in new ulong[] { 1, 4, 9 })
        {
            Task later = frontier.WhenReachedAsync(new Sequence(point)).AsTask();
            Assert.Same(cause, await Assert.ThrowsAsync<InvalidOperationException>(() => later));
        }

        frontier.Complete(new Sequence(5), new Sequence(9));
        frontier.AdvanceTo(new Sequence(9));
        Assert.Equal(new Sequence(4), frontier.Reached);
    }

    [Fact]
    public async Task A_waiter_that_is_used_again_waits_for_its_new_point_alone()
    {
        var frontier = new SequenceFrontier(Sequence.Zero);
        for (ulong at = 1; at <= 2000; at++)
        {
            ValueTask wait = frontier.WhenReachedAsync(new Sequence(at));
            Assert.False(wait.IsCompleted);
            frontier.Complete(new Sequence(at), new Sequence(at));
            await wait;
        }
    }

    [Fact]
    public async Task A_waiter_that_nobody_has_awaited_yet_is_not_given_to_another()
    {
        var frontier = new SequenceFrontier(Sequence.Zero);
        ValueTask first = frontier.WhenReachedAsync(new Sequence(1));
        frontier.AdvanceTo(new Sequence(1));
        ValueTask second = frontier.WhenReachedAsync(new Sequence(2));
        Assert.True(SpinWait.SpinUntil(() => first.IsCompletedSuccessfully, Soon));
        Assert.False(second.IsCompleted);
        await first;
        Assert.False(second.IsCompleted);
        frontier.AdvanceTo(new Sequence(2));
        await second;
    }

    [Fact]
    public async Task Many_threads_complete_and_wait_and_nobody_is_released_early_or_forgotten()
    {
        const int Workers = 4;
        const int Steps = 4000;
        var frontier = new SequenceFrontier(Sequence.Zero);
        long next = 0;
        Task[] workers = [.. Enumerable.Range(0, Workers).Select(seed => Task.Run(
            async () =>
            {
                var random = new Random(seed);
                while ((ulong)Interlocked.Increment(ref next) is var mine && mine <= Steps)
                {
                    if (random.Next(8) == 0) await Task.Yield();
                    var sequence = new Sequence(mine);
                    ValueTask wait = frontier.WhenReachedAsync(sequence);
                    frontier.Complete(sequence, sequence);
                    await wait;
                    Assert.True(frontier.Reached >= sequence);
                }
            },
            Cancellation))];
        await Task.WhenAll(workers).WaitAsync(Soon, Cancellation);
        Assert.Equal(new Sequence(Steps), frontier.Reached);
    }

    private static (ulong First, ulong Last)[] Ranges(PositiveInt[] lengths)
    {
        var ranges = new List<(ulong, ulong)>();
        ulong at = 1;
        foreach (PositiveInt length in lengths)
        {
            ulong last = at + (ulong)(length.Get % 7);
            ranges.Add((at, last));
            at = last + 1;
        }

        return [.. ranges];
    }

    private static IEnumerable<Sequence> Points(ulong end)
    {
        for (ulong point = 1; point <= end; point++) yield return new Sequence(point);
    }
}
