using System.Globalization;
using System.Threading.Tasks.Dataflow;
using Xunit;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class YieldingSchedulerTests
{
    private static readonly YieldingScheduler Yielding = new(static () => false);

    [Fact]
    public async Task Its_threads_are_preferred_less_than_those_of_the_pool()
    {
        long here = await Task.Run(NiceOfThread, TestContext.Current.CancellationToken);
        Assert.Equal(Math.Min(19, here + 5), await RunAsync(NiceOfThread));
        Assert.Equal(here, await Task.Run(NiceOfThread, TestContext.Current.CancellationToken));
    }

    // What a thread of the pool runs while it waits would have that thread's priority.
    [Fact]
    public void A_task_that_is_waited_for_does_not_run_on_the_waiting_thread()
    {
        var task = new Task<int>(() => Environment.CurrentManagedThreadId);
        task.Start(Yielding);
        Assert.NotEqual(Environment.CurrentManagedThreadId, ResultOf(task));
    }

    [Fact]
    public async Task It_works_on_every_core_at_once_and_loses_no_task()
    {
        int cores = Yielding.MaximumConcurrencyLevel;
        Assert.Equal(Environment.ProcessorCount, cores);
        using var meeting = new Barrier(cores);
        await Task.WhenAll(Enumerable.Range(0, cores).Select(_ => RunAsync(() => meeting.SignalAndWait(TimeSpan.FromSeconds(30)))))
            .WaitAsync(TestContext.Current.CancellationToken);
        int done = 0;
        await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => RunAsync(() => Interlocked.Increment(ref done))));
        Assert.Equal(1000, done);
    }

    [Fact]
    public async Task What_is_in_a_hurry_runs_like_everything_else()
    {
        long here = await Task.Run(NiceOfThread, TestContext.Current.CancellationToken);
        bool isHurried = true;
        var scheduler = new YieldingScheduler(() => isHurried);
        Assert.Equal(here, await RunAsync(NiceOfThread, scheduler));
        isHurried = false;
        Assert.Equal(Math.Min(19, here + 5), await RunAsync(NiceOfThread, scheduler));
    }

    // A simulation has every step on its own scheduler, or its seeds mean nothing.
    [Fact]
    public async Task A_graph_that_is_built_on_a_scheduler_of_its_own_stays_on_it()
    {
        using var metrics = new PipelineMetrics();
        TaskScheduler? seen = null;
        TransformBlock<Message, Message> Build() =>
            new StageFactory(metrics, TimeProvider.System, static (_, _) => { }, Yielding).Work<Message>(
                new StageOptions("work", 1, 1, Ordered: true, Yields: true), _ => seen = TaskScheduler.Current);

        TaskScheduler own = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        TransformBlock<Message, Message> block = await Task.Factory.StartNew(
            Build, TestContext.Current.CancellationToken, TaskCreationOptions.None, own);
        await block.SendAsync(new Message(), TestContext.Current.CancellationToken);
        await block.ReceiveAsync(TestContext.Current.CancellationToken);
        Assert.Same(own, seen);

        block = Build();
        await block.SendAsync(new Message(), TestContext.Current.CancellationToken);
        await block.ReceiveAsync(TestContext.Current.CancellationToken);
        Assert.Same(Yielding, seen);
    }

    private static int ResultOf(Task<int> task)
    {
        task.Wait();
        return task.Result;
    }

    private static Task<T> RunAsync<T>(Func<T> work, TaskScheduler? scheduler = null) => Task.Factory.StartNew(
        work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, scheduler ?? Yielding);

    private sealed class Message : IStageMessage
    {
        public Exception? Fault { get; set; }

        public long Bytes => 0;
    }

    // Field 19 of /proc/thread-self/stat (proc(5)); the name in field 2 may have spaces.
    private static long NiceOfThread()
    {
        string stat = File.ReadAllText("/proc/thread-self/stat");
        return long.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[16], CultureInfo.InvariantCulture);
    }
}
