using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Oracle;

/// <summary>
/// Random writes of many sizes, zeroes, trims, FUA, FLUSHes and checked reads over several connections, until the
/// connections break or the load is stopped. Every answer is entered into the history before anything else is sent.
/// </summary>
internal sealed class Load(ImageHistory history, int seed)
{
    // Mostly the pages of databases, and the odd sizes that file systems send: from one sector to 1 MiB.
    private static readonly int[] Sizes = [1, 1, 2, 3, 7, 8, 8, 8, 8, 9, 16, 16, 16, 24, 24, 32, 64, 256, 256, 2048];
    private const int ZeroPercent = 15;
    private long _flushes;
    private long _checkedReads;
    private int _lost;

    public int Connections { get; init; } = 4;

    public int Depth { get; init; } = 4;

    /// <summary>Percent of requests that are FLUSHes.</summary>
    public int FlushPercent { get; init; } = 8;

    /// <summary>
    /// Time that each lane waits between requests: for loads that must not fill a log while nothing drains it.
    /// </summary>
    public TimeSpan Pace { get; init; }

    /// <summary>
    /// Percent of the other requests that are reads, which a server may have to fetch from its bucket.
    /// </summary>
    public int ReadPercent { get; init; } = 15;

    /// <summary>Answered FLUSHes.</summary>
    public long Flushes => Interlocked.Read(ref _flushes);

    /// <summary>Reads that were answered with the right data.</summary>
    public long CheckedReads => Interlocked.Read(ref _checkedReads);

    /// <summary>Whether a connection broke.</summary>
    public bool LostConnection => Volatile.Read(ref _lost) != 0;

    /// <summary>
    /// Runs until <paramref name="stop"/>, or until every connection is lost. An error that the server answers fails
    /// the test.
    /// </summary>
    public Task RunAsync(int port, CancellationToken stop) =>
        Task.WhenAll(Enumerable.Range(0, Connections).Select(i => ConnectionAsync(port, i, stop)));

    private async Task ConnectionAsync(int port, int index, CancellationToken stop)
    {
        try
        {
            await using var client = await NbdClient.ConnectAsync(port, history.Export);
            await Task.WhenAll(Enumerable.Range(0, Depth)
                .Select(lane => LaneAsync(client, new Random(HashCode.Combine(seed, index, lane)), stop)));
        }
        catch (IOException)
        {
            Volatile.Write(ref _lost, 1);
        }
    }

    private async Task LaneAsync(NbdClient client, Random random, CancellationToken stop)
    {
        var buffer = new byte[Sizes[^1] * SectorStamp.Bytes];
        while (!stop.IsCancellationRequested)
        {
            if (random.Next(100) < FlushPercent) await FlushAsync(client);
            else await RequestAsync(client, random, buffer);
            if (Pace > TimeSpan.Zero) await Task.Delay(Pace, CancellationToken.None);
        }
    }

    private async Task FlushAsync(NbdClient client)
    {
        var covered = history.Acknowledgements;
        await client.FlushAsync();
        history.Flushed(covered);
        Interlocked.Increment(ref _flushes);
    }

    private async Task RequestAsync(NbdClient client, Random random, byte[] buffer)
    {
        var dice = random.Next(100);
        var kind = dice < ReadPercent ? OperationKind.Read
            : dice < ReadPercent + ZeroPercent ? OperationKind.Zero : OperationKind.Write;
        var sectors = Sizes[random.Next(Sizes.Length)];
        var first = random.Next(history.Sectors - sectors);
        if (random.Next(2) == 0) first &= ~7;
        if (history.TryBegin(kind, first, sectors) is not { } operation) return;

        var durable = random.Next(20) == 0;
        var data = buffer.AsMemory(0, operation.Length);
        switch (kind)
        {
            case OperationKind.Write:
                SectorStamp.Fill(data.Span, history.Number, operation.Offset, operation.Sequence);
                await client.WriteAsync(operation.Offset, data, durable);
                break;
            case OperationKind.Zero when dice % 2 == 0:
                await client.TrimAsync(operation.Offset, operation.Length, durable);
                break;
            case OperationKind.Zero:
                await client.WriteZeroesAsync(operation.Offset, operation.Length, durable);
                break;
            case OperationKind.Read:
                await client.ReadAsync(operation.Offset, data);
                if (history.CheckLive(operation, data.Span) is { } wrong) Assert.Fail(wrong);
                Interlocked.Increment(ref _checkedReads);
                durable = false;
                break;
        }

        history.Acknowledge(operation, durable);
    }
}
