namespace ZeroFlow.Simulation.World;

/// <summary>
/// One process on one machine of the simulation: a scheduler and a clock. When it is killed, none of its steps runs any
/// more, so it ends between two steps, at whatever await that was. While it is paused (SIGSTOP), its steps wait.
/// </summary>
internal sealed class SimulatedProcess(SimulatedWorld world, int number, string name) : TaskScheduler
{
    public SimulatedWorld World => world;

    public int Number => number;

    public string Name => name;

    public bool IsDead { get; private set; }

    public bool IsPaused { get; set; }

    public TimeProvider Time => field ??= new ProcessTime(this);

    public void Kill() => IsDead = true;

    public Task<T> Run<T>(Func<Task<T>> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, this).Unwrap();

    public Task Run(Func<Task> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.DenyChildAttach, this).Unwrap();

    public Task Sleep(TimeSpan time) => Task.Delay(time, Time);

    protected override void QueueTask(Task task)
    {
        if (!IsDead) world.Post(this, () => TryExecuteTask(task));
    }

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks() => [];

    private sealed class ProcessTime(SimulatedProcess process) : TimeProvider
    {
        private static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => process.World.NowTicks;

        public override DateTimeOffset GetUtcNow() => Start + process.World.Now;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new ProcessTimer(process, () => callback(state));
            timer.Change(dueTime, period);
            return timer;
        }
    }

    private sealed class ProcessTimer(SimulatedProcess process, Action callback) : ITimer
    {
        private Alarm? _alarm;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Dispose();
            if (dueTime == Timeout.InfiniteTimeSpan) return true;
            TimeSpan repeat = period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period;
            _alarm = new Alarm(process, process.World.NowTicks + dueTime.Ticks, repeat.Ticks, callback);
            process.World.Schedule(_alarm);
            return true;
        }

        public void Dispose()
        {
            if (_alarm is not null) _alarm.IsArmed = false;
            _alarm = null;
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>A timer that is due at a moment.</summary>
internal sealed class Alarm(SimulatedProcess process, long dueTicks, long periodTicks, Action callback)
{
    private bool _isPosted;

    public SimulatedProcess Process => process;

    public long DueTicks { get; private set; } = dueTicks;

    public bool IsArmed { get; set; } = true;

    /// <summary>Makes the callback a step of its process. A period that finds the last one waiting adds none.</summary>
    public void Ring()
    {
        if (!_isPosted)
        {
            _isPosted = true;
            process.World.Post(process, Fire);
        }

        if (periodTicks == 0) return;
        DueTicks = Math.Max(DueTicks, process.World.NowTicks) + periodTicks;
        process.World.Schedule(this);
    }

    private void Fire()
    {
        _isPosted = false;
        if (IsArmed) callback();
    }
}
