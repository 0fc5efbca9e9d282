using System.Diagnostics;
using Xunit;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Pipeline.Tests.Telemetry;

public sealed class PipelineTracesTests : IDisposable
{
    private readonly PipelineTraces _traces = new();
    private readonly ActivityListener _listener = new()
    {
        ShouldListenTo = static source => source.Name == PipelineTraces.SourceName,
        Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
    };

    public PipelineTracesTests() => ActivitySource.AddActivityListener(_listener);

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 100)]
    [InlineData(10, 10)]
    public void One_request_in_so_many_is_traced(int oneIn, int expected)
    {
        _traces.OneIn = oneIn;
        int begun = 0;
        for (int i = 0; i < 100; i++)
        {
            using Activity? trace = _traces.Begin("request", TimeSpan.FromSeconds(1));
            if (trace is not null) begun++;
        }

        Assert.Equal(expected, begun);
    }

    [Fact]
    public void Parts_belong_to_the_request_of_their_thread_and_to_no_other()
    {
        _traces.OneIn = 1;
        using var foreign = new Activity("of somebody else");
        foreign.Start();
        Assert.Null(PipelineTraces.BeginPart("part"));
        Assert.Null(_traces.Current);
        using Activity trace = _traces.Begin("request", TimeSpan.Zero)!;
        Assert.Null(trace.Parent);
        Assert.Same(trace, _traces.Current);
        using (Activity part = PipelineTraces.BeginPart("part")!) Assert.Equal(trace.SpanId, part.ParentSpanId);
        Activity.Current = null;
        using Activity late = PipelineTraces.Begin("late", trace)!;
        Assert.Equal(trace.TraceId, late.TraceId);
        Assert.Null(PipelineTraces.Begin("none", parent: null));
    }

    [Fact]
    public void Nothing_is_made_and_nothing_allocated_while_it_is_off()
    {
        Measure();
        Assert.Equal(0, Measure());

        long Measure()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 1000; i++)
            {
                _ = _traces.IsOn ? _traces.Begin("request", TimeSpan.Zero) : null;
                _ = _traces.Current;
                _ = PipelineTraces.BeginPart("part");
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    public void Dispose()
    {
        Activity.Current = null;
        _listener.Dispose();
    }
}
