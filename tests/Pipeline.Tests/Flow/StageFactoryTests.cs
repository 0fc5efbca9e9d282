using System.Collections.Concurrent;
using System.Threading.Tasks.Dataflow;
using Xunit;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Pipeline.Tests.Flow;

public sealed class StageFactoryTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);
    private static readonly DataflowLinkOptions Link = new() { PropagateCompletion = true };

    private readonly PipelineMetrics _metrics = new();
    private readonly ConcurrentQueue<(string Stage, Exception Fault)> _told = new();
    private readonly StageFactory _factory;

    public StageFactoryTests() =>
        _factory = new StageFactory(_metrics, TimeProvider.System, (stage, fault) => _told.Enqueue((stage, fault)),
            new YieldingScheduler(static () => false));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _metrics.Dispose();

    // A plain Dataflow block would fault here, drop what it holds and leave the sender hanging.
    [Fact]
    public async Task A_delegate_that_throws_fails_its_message_and_nothing_else()
    {
        TransformBlock<Message, Message> stage = _factory.Work<Message>(
            Options("odd"), m => { if (m.Number % 2 == 1) throw new InvalidOperationException($"{m.Number}"); });
        List<Message> ended = await RunAsync(stage, 100);
        Assert.Equal(Enumerable.Range(0, 100), ended.Select(m => m.Number));
        Assert.All(ended, m => Assert.Equal(m.Number % 2 == 1, m.Fault is not null));
        Assert.Equal(50, _told.Count);
        Assert.All(_told, t => Assert.Equal("odd", t.Stage));
    }

    [Fact]
    public async Task An_asynchronous_delegate_that_throws_fails_its_message_and_nothing_else()
    {
        TransformBlock<Message, Message> stage = _factory.WorkAsync<Message>(
            Options("io", parallelism: 4),
            async m =>
            {
                await Task.Yield();
                if (m.Number % 10 == 3) throw new IOException("away");
            });
        List<Message> ended = await RunAsync(stage, 100);
        Assert.Equal(Enumerable.Range(0, 100), ended.Select(m => m.Number));
        Assert.Equal(10, ended.Count(m => m.Fault is IOException));
    }

    [Fact]
    public async Task A_message_that_failed_is_passed_on_untouched_to_the_end()
    {
        var worked = new ConcurrentQueue<int>();
        TransformBlock<Message, Message> first = _factory.Work<Message>(
            Options("first"), m => { if (m.Number == 2) throw new InvalidOperationException("two"); });
        TransformBlock<Message, Message> second = _factory.WorkAsync<Message>(
            Options("second"),
            m =>
            {
                worked.Enqueue(m.Number);
                return Task.CompletedTask;
            });
        first.LinkTo(second, Link);
        List<Message> ended = await RunAsync(first, second, 5);
        Assert.Equal([0, 1, 3, 4], worked);
        Assert.Equal(5, ended.Count);
        Assert.Equal("two", ended[2].Fault!.Message);
    }

    [Fact]
    public async Task The_first_error_of_a_message_is_kept()
    {
        var early = new InvalidOperationException("first");
        var message = new Message(1) { Fault = early };
        ActionBlock<Message> end = _factory.End<Message>(Options("end"), _ => throw new IOException("second"));
        Assert.True(await end.SendAsync(message, Cancellation));
        end.Complete();
        await end.Completion.WaitAsync(Soon, Cancellation);
        Assert.Same(early, message.Fault);
        Assert.IsType<IOException>(Assert.Single(_told).Fault);
    }

    // Work takes longer for earlier messages, so that they finish in about the opposite order.
    [Fact]
    public async Task Order_is_kept_with_parallel_work_and_failures()
    {
        TransformBlock<Message, Message> stage = _factory.WorkAsync<Message>(
            Options("parallel", capacity: 8, parallelism: 8),
            async m =>
            {
                await Task.Delay(8 - (m.Number % 8), Cancellation);
                if (m.Number % 5 == 0) throw new InvalidOperationException("fifth");
            });
        List<Message> ended = await RunAsync(stage, 80);
        Assert.Equal(Enumerable.Range(0, 80), ended.Select(m => m.Number));
    }

    [Fact]
    public async Task Nothing_hangs_when_a_later_stage_fails_every_message()
    {
        TransformBlock<Message, Message> first = _factory.Work<Message>(Options("work"), _ => { });
        ActionBlock<Message> end = _factory.End<Message>(
            Options("end"), _ => throw new InvalidOperationException("no"));
        first.LinkTo(end, Link);
        for (int i = 0; i < 200; i++)
            Assert.True(await first.SendAsync(new Message(i), Cancellation).WaitAsync(Soon, Cancellation));
        first.Complete();
        await end.Completion.WaitAsync(Soon, Cancellation);
        Assert.Equal(200, _told.Count);
    }

    [Fact]
    public async Task A_full_stage_holds_its_sender_back()
    {
        using var go = new SemaphoreSlim(0);
        ActionBlock<Message> end = _factory.End<Message>(Options("slow", capacity: 2), _ => go.WaitAsync(Cancellation));
        Assert.True(await end.SendAsync(new Message(0), Cancellation));
        Assert.True(await end.SendAsync(new Message(1), Cancellation));
        Task<bool> third = end.SendAsync(new Message(2), Cancellation);
        Assert.False(third.IsCompleted);
        go.Release(3);
        Assert.True(await third.WaitAsync(Soon, Cancellation));
        end.Complete();
        await end.Completion.WaitAsync(Soon, Cancellation);
    }

    [Fact]
    public async Task Messages_and_bytes_are_counted_for_each_stage()
    {
        TransformBlock<Message, Message> stage = _factory.Work<Message>(
            Options("counted", capacity: 7), m => { if (m.Number == 0) throw new InvalidOperationException("zero"); });
        await RunAsync(stage, 10);
        StageMeter meter = Assert.Single(_metrics.Stages);
        Assert.Equal("counted", meter.Name);
        Assert.Equal(7, meter.QueueBound);
        Assert.Equal((10, 10), (meter.MessagesIn, meter.MessagesOut));
        Assert.Equal((1000, 1000), (meter.BytesIn, meter.BytesOut));
        Assert.Equal((0, 0), (meter.Active, meter.QueueDepth));
    }

    private static StageOptions Options(string name, int capacity = 4, int parallelism = 1) =>
        new(name, capacity, parallelism, Ordered: true, Yields: true);

    private static Task<List<Message>> RunAsync(TransformBlock<Message, Message> stage, int count) =>
        RunAsync(stage, stage, count);

    private static async Task<List<Message>> RunAsync(
        ITargetBlock<Message> head, ISourceBlock<Message> tail, int count)
    {
        var ended = new List<Message>();
        var end = new ActionBlock<Message>(ended.Add, new ExecutionDataflowBlockOptions { BoundedCapacity = 1 });
        tail.LinkTo(end, Link);
        for (int i = 0; i < count; i++)
            Assert.True(await head.SendAsync(new Message(i), Cancellation).WaitAsync(Soon, Cancellation));
        head.Complete();
        await end.Completion.WaitAsync(Soon, Cancellation);
        return ended;
    }

    private sealed class Message(int number) : IStageMessage
    {
        public int Number { get; } = number;

        public Exception? Fault { get; set; }

        public long Bytes => 100;
    }
}
