namespace ZeroFlow.Perf.Tests.Traces;

// What the recorder writes comes back as it was; damage is noticed; a request stays small.
public sealed class RecordedTraceTests
{
    private static readonly DateTimeOffset Begun = new(2026, 11, 28, 12, 0, 0, TimeSpan.Zero);

    private static readonly TraceRecord[] Records =
    [
        new(0, NbdCommand.Write, 1L << 40, 131072, NbdRequestFlags.Fua),
        new(3, NbdCommand.Write, (1L << 40) + 131072, 4096, NbdRequestFlags.None, 3),
        new(3, NbdCommand.Flush, 0, 0, NbdRequestFlags.None, 3),
        new(900_000_000, NbdCommand.Read, 0, 512),
        new(900_000_001, NbdCommand.Trim, 4096, uint.MaxValue, NbdRequestFlags.None, 70_000),
        new(900_000_001, NbdCommand.WriteZeroes, 8192, 4096, NbdRequestFlags.NoHole | NbdRequestFlags.FastZero),
        new(900_000_002, NbdCommand.BlockStatus, 0, 65536, NbdRequestFlags.RequestOne),
        new(900_000_003, NbdCommand.Disconnect, 0, 0),
    ];

    [Fact]
    public void What_is_written_is_read()
    {
        var connection = new TraceConnection(
            3, "größe", 1L << 41, NbdExportFlags.HasFlags | NbdExportFlags.SendFlush, ReplyForm.Structured);
        var trace = new RecordedTrace(new MemoryStream(Write(connection, Records)));

        Assert.Equal(Records, trace.Read());
        Assert.Equal([connection], trace.Connections);
    }

    [Fact]
    public void The_layout_of_version_1_does_not_change()
    {
        var write = new TraceRecord(300, NbdCommand.Write, 8192, 4096, NbdRequestFlags.Fua, 1);
        var bytes = Write(null, [write, new(301, NbdCommand.Flush, 0, 0)]);

        Assert.Equal("5A465452414345" + "01" + "001085EA54610600", Convert.ToHexString(bytes[..16]));
        Assert.Equal(
            "31" + "AC02" + "01" + "01" + "808001" + "8020" + "23" + "01" + "00" + "0F" + "02",
            Convert.ToHexString(bytes[16..]));
    }

    [Fact]
    public void A_trace_that_was_cut_off_anywhere_is_refused()
    {
        var whole = Write(null, Records);
        for (var length = 0; length < whole.Length; length++)
        {
            var part = whole[..length];
            Assert.Throws<FormatException>(() => new RecordedTrace(new MemoryStream(part)).Read().ToList());
        }
    }

    [Fact]
    public void A_version_that_is_not_known_is_refused()
    {
        var bytes = Write(null, Records);
        bytes[7] = 2;
        Assert.Throws<FormatException>(() => new RecordedTrace(new MemoryStream(bytes)).Read().ToList());
    }

    [Fact]
    public void A_small_write_takes_at_most_ten_bytes()
    {
        var random = new Random(1);
        var records = Enumerable.Range(0, 1000).Select(i =>
            new TraceRecord(i * 300, NbdCommand.Write, random.NextInt64(1 << 21) * 4096, 4096)).ToArray();
        Assert.InRange(Write(null, records).Length, 6 * 1000, (10 * 1000) + 32);
    }

    private static byte[] Write(TraceConnection? connection, TraceRecord[] records)
    {
        var stream = new MemoryStream();
        using (var writer = new RecordedTraceWriter(stream, Begun))
        {
            if (connection is not null) writer.Connect(connection);
            foreach (var record in records) writer.Add(record);
        }

        return stream.ToArray();
    }
}
