using ZeroFlow.Perf.Replay;
using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Tests.Replay;

// Whole replays against a small server in memory: everything arrives, lies are noticed, stalls are charged.
public sealed class TraceReplayTests : IDisposable
{
    private const int DeviceBytes = 1 << 20;

    private readonly MemoryServer _server = new(DeviceBytes);

    public void Dispose() => _server.Dispose();

    [Theory]
    [InlineData(null, 1)]
    [InlineData(1, 1)]
    [InlineData(16, 1)]
    [InlineData(16, 4)]
    [InlineData(null, 4)]
    public void Every_request_is_sent_and_what_is_read_is_right(int? depth, int connections)
    {
        var trace = RandomTrace(2000, 5);
        using var replay = new TraceReplay(trace, Options() with
        {
            Depth = depth,
            Connections = connections,
            Speed = 3,
            Verify = true,
        });
        var result = replay.Run();

        Assert.Equal(2000, result.Load.Requests);
        Assert.Equal(2000, _server.Requests);
        Assert.True(result.SectorsVerified > 500);
        Assert.Equal(trace.Count(NbdCommand.Flush), result.Load.Latency[OperationKind.Flush].Count);
        Assert.Equal(trace.Count(NbdCommand.Trim), result.Load.Latency[OperationKind.Trim].Count);
        Assert.Equal(trace.BytesOf(NbdCommand.Write), result.WrittenBytes);
        Assert.Equal(
            trace.Records.Count(record => record.Flags.HasFlag(NbdRequestFlags.Fua)),
            _server.Seen.Count(seen => (seen.Flags & 1) != 0));
    }

    [Fact]
    public void A_lost_write_is_noticed()
    {
        _server.Before = (command, offset, _) => command != 1 || offset != 8192;
        AssertFails(
            "Wrong data",
            new(0, NbdCommand.Write, 8192, 4096), new(1, NbdCommand.Flush, 0, 0), new(2, NbdCommand.Read, 8192, 4096));
    }

    [Fact]
    public void An_older_write_in_place_of_a_newer_one_is_noticed()
    {
        _server.Before = (command, _, ordinal) => command != 1 || ordinal != 1;
        AssertFails(
            "Wrong data: sector 17",
            new(0, NbdCommand.Write, 8192, 4096), new(1, NbdCommand.Write, 8704, 512),
            new(2, NbdCommand.Read, 8192, 4096));
    }

    [Fact]
    public void In_an_open_loop_a_stall_is_in_the_latency_of_all_that_was_due_meanwhile()
    {
        _server.Before = (_, _, ordinal) =>
        {
            if (ordinal == 20) Thread.Sleep(300);
            return true;
        };
        using var replay = new TraceReplay(
            new Trace("even", Enumerable.Range(0, 400).Select(i =>
                new TraceRecord(i * 1000, NbdCommand.Write, i % 16 * 4096, 4096))),
            Options());
        var writes = replay.Run().Load.Latency[OperationKind.Write];

        // 400 requests in 400 ms; those due in a stall of 300 ms are some 300, late by 150 ms on average.
        Assert.Equal(400, writes.Count);
        Assert.InRange(writes.MeanMicros, 60_000, 1_000_000);
        Assert.InRange(writes.P50Micros, 30_000, 1_000_000);
        Assert.Equal(400, replay.HistogramOf(OperationKind.Write).Buckets().Sum(bucket => bucket.Count));
    }

    [Fact]
    public void The_speed_divides_the_time_of_the_trace()
    {
        var trace = new Trace("two", [new(0, NbdCommand.Flush, 0, 0), new(2_000_000, NbdCommand.Flush, 0, 0)]);
        using var replay = new TraceReplay(trace, Options() with { Speed = 10 });
        Assert.InRange(replay.Run().Load.ElapsedSeconds, 0.2, 1.5);
    }

    private ReplayOptions Options() => new() { Uri = _server.Uri, WarmupReads = 0 };

    private void AssertFails(string message, params TraceRecord[] records)
    {
        using var replay = new TraceReplay(new Trace("lie", records), Options() with { Depth = 1, Verify = true });
        Assert.Contains(message, Assert.Throws<NbdException>(() => replay.Run()).Message);
    }

    // All operations over a few hundred sectors, so that many overlap while they are under way.
    private static Trace RandomTrace(int count, int seed)
    {
        var random = new Random(seed);
        return new Trace("random", Enumerable.Range(0, count).Select(i => random.Next(10) switch
        {
            0 => new TraceRecord(i * 50, NbdCommand.Flush, 0, 0),
            1 => Range(NbdCommand.Trim),
            2 => Range(NbdCommand.WriteZeroes),
            < 6 => Range(NbdCommand.Read),
            6 => Range(NbdCommand.Write) with { Flags = NbdRequestFlags.Fua },
            _ => Range(NbdCommand.Write),
        } with
        { Micros = i * 50 }).ToList());

        TraceRecord Range(NbdCommand command) => new(0, command, random.Next(400) * 512, random.Next(1, 16) * 512);
    }
}
