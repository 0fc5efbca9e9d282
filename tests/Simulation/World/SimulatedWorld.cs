using System.Diagnostics.CodeAnalysis;

namespace ZeroFlow.Simulation.World;

/// <summary>
/// One thread, one clock, one seed: everything that the processes of a simulation do is a list of small steps, of which a
/// seeded draw picks the next. The clock moves only when no step is ready.
/// </summary>
/// <remarks>
/// A step runs to its next await. Each process has a <see cref="TaskScheduler"/> that hands its continuations to this
/// loop, and a clock whose timers become steps.
/// <para>
/// Some completions pass through the runtime's thread pool whatever the scheduler: those of Dataflow's SendAsync, of
/// SemaphoreSlim.WaitAsync, of FasterLog's commits. Steering that pool needs no seam: this program gives it one thread, so
/// that it works first in, first out, and behind each step the loop waits until the pool has nothing left. What comes back
/// from it comes at a moment and in an order that the seed decides.
/// </para>
/// </remarks>
internal sealed class SimulatedWorld(int seed)
{
    // Real time that a step may take to come back from the thread pool before the run counts as stuck.
    private static readonly TimeSpan StuckAfter = TimeSpan.FromSeconds(10);

    // Work in the pool that queues itself again and again waits for one of our steps.
    private const int PoolRoundsMax = 8;

    private readonly Lock _lock = new();
    private readonly List<Step> _ready = [];
    private readonly List<Step> _fromPool = [];
    private readonly PriorityQueue<Alarm, (long Due, long Order)> _alarms = new();
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly ManualResetEventSlim _poolPassed = new();
    private int _thread;
    private long _orders;

    /// <summary>Every draw of the simulation comes from here, in the one order of the steps.</summary>
    public Random Random { get; } = new(seed);

    public long NowTicks { get; private set; }

    public TimeSpan Now => TimeSpan.FromTicks(NowTicks);

    public long Steps { get; private set; }

    /// <summary>Steps that passed through the thread pool.</summary>
    public long PoolSteps { get; private set; }

    /// <summary>Hash over all that happened: equal for equal runs.</summary>
    public ulong Trace { get; private set; } = 14695981039346656037;

    public bool Chance(double probability) => Random.NextDouble() < probability;

    public TimeSpan Between(double fromMs, double toMs) =>
        TimeSpan.FromMilliseconds(fromMs + ((toMs - fromMs) * Random.NextDouble()));

    /// <summary>A call that blocks the whole process: time passes and nothing else happens.</summary>
    public void Block(TimeSpan time) => NowTicks += time.Ticks;

    public void Note(long what) => Trace = (Trace ^ (ulong)what) * 1099511628211;

    /// <summary>Runs steps until <paramref name="work"/> is done.</summary>
    /// <exception cref="SimulationStuckException">Nothing can happen any more, or it took longer than the limits.</exception>
    public void RunUntil(Task work, TimeSpan limit, long stepsMax)
    {
        ThreadPool.GetMaxThreads(out int poolThreads, out _);
        if (poolThreads != 1 || Thread.CurrentThread.IsThreadPoolThread)
            throw new InvalidOperationException("A simulation needs a thread pool of one thread, and runs on another.");
        _thread = Environment.CurrentManagedThreadId;
        while (!work.IsCompleted)
        {
            if (Now > limit || Steps > stepsMax)
                throw new SimulationStuckException($"Not done after {Now} of simulated time and {Steps} steps.");
            if (TryTakeStep(out Step? step)) Run(step);
            else if (!AdvanceClock()) AwaitPool();
        }

        work.GetAwaiter().GetResult();
    }

    internal void Post(SimulatedProcess process, Action work)
    {
        lock (_lock)
        {
            // What comes from the pool while a step runs comes behind what the step itself adds.
            bool fromPool = Environment.CurrentManagedThreadId != _thread && _thread != 0;
            if (fromPool) PoolSteps++;
            (fromPool ? _fromPool : _ready).Add(new Step(process, work));
        }

        _arrived.Release();
    }

    internal void Schedule(Alarm alarm)
    {
        lock (_lock) _alarms.Enqueue(alarm, (alarm.DueTicks, ++_orders));
    }

    // No step, no timer: only the pool can bring something now.
    private void AwaitPool()
    {
        if (!_arrived.Wait(StuckAfter))
            throw new SimulationStuckException($"Nothing can happen any more at {Now}, after {Steps} steps.");
        LetPoolFinish();
    }

    private void Run(Step step)
    {
        Steps++;
        Note(NowTicks);
        Note(step.Process.Number);
        step.Work();
        LetPoolFinish();
    }

    // The pool's one thread takes what itself queued first and the rest in order, so this comes behind everything.
    private void LetPoolFinish()
    {
        long before = -1;
        for (int round = 0; round < PoolRoundsMax && (PoolSteps != before || ThreadPool.PendingWorkItemCount > 0); round++)
        {
            before = PoolSteps;
            _poolPassed.Reset();
            ThreadPool.UnsafeQueueUserWorkItem(static passed => passed.Set(), _poolPassed, preferLocal: false);
            _poolPassed.Wait();
        }

        lock (_lock)
        {
            _ready.AddRange(_fromPool);
            _fromPool.Clear();
        }
    }

    private bool TryTakeStep([NotNullWhen(true)] out Step? step)
    {
        step = null;
        lock (_lock)
        {
            while (_arrived.Wait(0))
            {
                // The list says what arrived; the semaphore only wakes.
            }

            _ready.RemoveAll(static ready => ready.Process.IsDead);
            int awake = 0;
            foreach (Step ready in _ready) awake += ready.Process.IsPaused ? 0 : 1;
            if (awake == 0) return false;
            int pick = Random.Next(awake);
            Note(awake);
            int at = _ready.FindIndex(ready => !ready.Process.IsPaused && pick-- == 0);
            step = _ready[at];
            _ready.RemoveAt(at);
            return true;
        }
    }

    private bool AdvanceClock()
    {
        while (true)
        {
            Alarm alarm;
            lock (_lock)
            {
                if (!_alarms.TryDequeue(out alarm!, out _)) return false;
            }

            if (!alarm.IsArmed || alarm.Process.IsDead) continue;
            NowTicks = Math.Max(NowTicks, alarm.DueTicks);
            alarm.Ring();
            LetPoolFinish();
            return true;
        }
    }

    private sealed record Step(SimulatedProcess Process, Action Work);
}

/// <summary>A run that hangs: for a storage server as bad as a wrong answer.</summary>
internal sealed class SimulationStuckException(string message) : Exception(message);
