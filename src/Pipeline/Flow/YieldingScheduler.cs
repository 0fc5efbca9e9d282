using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// Runs CPU work behind the requests on threads, one for each core, which the operating system prefers less than all
/// others: requests have the cores when they want them. While the work is in a hurry, it runs on the thread pool.
/// Thread-safe.
/// </summary>
/// <remarks>
/// <para>The drain needs several times the CPU of the writes that it drains. On the thread pool it takes half of every
/// core from them, and a FLUSH waits behind a chunk's compression; here it takes what is left, a quarter at the least, and
/// the log absorbs the difference. It must not be put off for ever, though: on a machine that others keep busy, a quarter
/// may be next to nothing, and what is put off is what the loss of the local disk costs.</para>
/// <para>Linux gives each thread a nice value of its own (setpriority(2)); raising it needs no privilege, lowering it again
/// does, so the threads stay as they are. Where raising fails, they run with the priority of everything else.</para>
/// <para>Only for work that ends by itself and does not wait: a wait would keep a core's thread.</para>
/// </remarks>
public sealed partial class YieldingScheduler : TaskScheduler
{
    private readonly Func<bool> _isHurried;
    private readonly WaitCallback _execute;

    /// <summary>Makes a scheduler; all of them share the threads.</summary>
    /// <param name="isHurried">Asked for each task: true when it should not be put off. Must be quick and not throw.</param>
    public YieldingScheduler(Func<bool> isHurried)
    {
        _isHurried = isHurried;
        _execute = task => TryExecuteTask((Task)task!);
    }

    /// <inheritdoc/>
    public override int MaximumConcurrencyLevel => Threads.Count;

    /// <inheritdoc/>
    protected override void QueueTask(Task task)
    {
        if (_isHurried()) ThreadPool.UnsafeQueueUserWorkItem(_execute, task);
        else Threads.Queue.Add((_execute, task));
    }

    // Run by whoever waits for it, a task would have the priority of that thread.
    /// <inheritdoc/>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    /// <inheritdoc/>
    protected override IEnumerable<Task> GetScheduledTasks() => [.. Threads.Queue.Select(static item => item.Task)];

    // Made with the first task, and kept as long as the process lives.
    private static partial class Threads
    {
        // Five more than the process's own: a third of its weight.
        private const int NiceAbove = 5;
        private const int NiceMax = 19;
        private const int PriorityOfThread = 0;

        public static readonly int Count = Math.Max(1, Environment.ProcessorCount);

        public static readonly BlockingCollection<(WaitCallback Execute, Task Task)> Queue = [];

        static Threads()
        {
            for (int i = 0; i < Count; i++) new Thread(Run) { IsBackground = true, Name = "zf-yielding" }.Start();
        }

        private static void Run()
        {
            _ = SetPriority(PriorityOfThread, 0, Math.Min(NiceMax, GetPriority(PriorityOfThread, 0) + NiceAbove));
            foreach ((WaitCallback execute, Task task) in Queue.GetConsumingEnumerable()) execute(task);
        }

        [LibraryImport("libc", EntryPoint = "getpriority")]
        private static partial int GetPriority(int which, uint who);

        [LibraryImport("libc", EntryPoint = "setpriority")]
        private static partial int SetPriority(int which, uint who, int priority);
    }
}
