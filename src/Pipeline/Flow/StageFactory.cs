using System.Diagnostics;
using System.Threading.Tasks.Dataflow;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Pipeline.Flow;

/// <summary>
/// Builds the Dataflow blocks of a pipeline: bounded, measured, and unable to throw.
/// </summary>
/// <remarks>
/// A Dataflow delegate that throws faults its block, which discards queued messages whose senders were told "accepted",
/// leaves senders upstream hanging, and with parallelism lets messages behind the failed one through. So the delegates
/// built here catch everything, store it in the message, report it once, and pass the message on.
/// </remarks>
public sealed class StageFactory
{
    private readonly PipelineMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly Action<string, Exception> _onFault;
    private readonly TaskScheduler _yielding;

    /// <summary>Makes a factory.</summary>
    /// <param name="metrics">Where the stages are registered, in the order in which they are made.</param>
    /// <param name="time">Measures how long work takes.</param>
    /// <param name="onFault">Told of each error with the name of the stage; must not throw.</param>
    /// <param name="yielding">
    /// Runs the stages that yield (<see cref="StageOptions.Yields"/>), unless the caller runs on a scheduler that was chosen
    /// for it, such as a simulation's, which has every step.
    /// </param>
    public StageFactory(
        PipelineMetrics metrics, TimeProvider time, Action<string, Exception> onFault, TaskScheduler yielding)
    {
        _metrics = metrics;
        _time = time;
        _onFault = onFault;
        _yielding = TaskScheduler.Current == TaskScheduler.Default ? yielding : TaskScheduler.Current;
    }

    /// <summary>A stage of CPU work: one message in, the next form of it out.</summary>
    public TransformBlock<T, T> Work<T>(StageOptions options, Action<T> work)
        where T : class, IStageMessage
    {
        StageMeter meter = null!;
        var block = new TransformBlock<T, T>(
            message =>
            {
                if (message.Fault is not null) return message;
                using Activity? part = PipelineTraces.Begin(options.Name, message.Trace);
                long started = _time.GetTimestamp();
                meter.Begin(message.Bytes);
                try
                {
                    work(message);
                }
                catch (Exception fault)
                {
                    Record(options, message, fault);
                }

                meter.End(message.Bytes, _time.GetElapsedTime(started));
                return message;
            },
            ToDataflow(options));
        meter = _metrics.AddStage(options.Name, options.Capacity, () => block.InputCount);
        return block;
    }

    /// <summary>A stage of I/O: like <see cref="Work{T}"/>, with waits.</summary>
    public TransformBlock<T, T> WorkAsync<T>(StageOptions options, Func<T, Task> work)
        where T : class, IStageMessage
    {
        StageMeter meter = null!;
        var block = new TransformBlock<T, T>(
            async message =>
            {
                await RunAsync(options, meter, message, work);
                return message;
            },
            ToDataflow(options));
        meter = _metrics.AddStage(options.Name, options.Capacity, () => block.InputCount);
        return block;
    }

    /// <summary>The last stage. It gets faulted messages, too: each carries somebody's completion.</summary>
    public ActionBlock<T> End<T>(StageOptions options, Func<T, Task> work)
        where T : class, IStageMessage
    {
        StageMeter meter = null!;
        var block = new ActionBlock<T>(
            message => RunAsync(options, meter, message, work, evenWhenFaulted: true), ToDataflow(options));
        meter = _metrics.AddStage(options.Name, options.Capacity, () => block.InputCount);
        return block;
    }

    private ExecutionDataflowBlockOptions ToDataflow(StageOptions options) => new()
    {
        NameFormat = options.Name,
        BoundedCapacity = options.Capacity,
        MaxDegreeOfParallelism = options.Parallelism,
        EnsureOrdered = options.Ordered,

        // The thread pool, or the scheduler of a simulation that builds the graph.
        TaskScheduler = options.Yields ? _yielding : TaskScheduler.Current,
    };

    private async Task RunAsync<T>(
        StageOptions options, StageMeter meter, T message, Func<T, Task> work, bool evenWhenFaulted = false)
        where T : class, IStageMessage
    {
        if (message.Fault is not null && !evenWhenFaulted) return;
        using Activity? whole = evenWhenFaulted ? message.Trace : null;
        using Activity? part = PipelineTraces.Begin(options.Name, message.Trace);
        long started = _time.GetTimestamp();
        meter.Begin(message.Bytes);
        try
        {
            await work(message);
        }
        catch (Exception fault)
        {
            Record(options, message, fault);
        }

        meter.End(message.Bytes, _time.GetElapsedTime(started));
    }

    private void Record<T>(StageOptions options, T message, Exception fault)
        where T : class, IStageMessage
    {
        message.Fault ??= fault;
        _onFault(options.Name, fault);
    }
}
