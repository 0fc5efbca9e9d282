using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class ReadAheadDetectorTests
{
    private const int Chunk = 128 * 1024;
    private const long Size = 1L << 40;
    private const long Budget = 32L * 1024 * 1024;
    private const long WindowMax = Budget / 4 * 3;

    private readonly ReadAheadDetector _detector = new(Chunk, Budget);

    [Fact]
    public void A_single_read_fetches_nothing_ahead()
    {
        Assert.True(Observe(0, Chunk).IsEmpty);
        Assert.True(Observe(50 * Chunk, Chunk).IsEmpty);
    }

    [Fact]
    public void The_second_chunk_in_a_row_starts_with_two_chunks()
    {
        Observe(10 * Chunk, Chunk);
        Assert.Equal(new BlockRange(12 * Chunk, 2 * Chunk), Observe(11 * Chunk, Chunk));
    }

    [Fact]
    public void Small_reads_have_to_cover_a_chunk_first()
    {
        long at = 0;
        int reads = 0;
        BlockRange ahead;
        do
        {
            ahead = Observe(at, 8192);
            at += 8192;
            reads++;
        }
        while (ahead.IsEmpty && reads < 100);
        Assert.Equal(Chunk / 8192 + 1, reads);
    }

    // Every byte is asked for once, before it is read, and the window grows up to its share of the budget.
    [Theory]
    [InlineData(4096)]
    [InlineData(65_536)]
    [InlineData(Chunk)]
    [InlineData(1024 * 1024)]
    public void A_long_scan_is_fetched_ahead_without_gap_or_overlap(int readBytes)
    {
        long fetchedUntil = -1;
        long widest = 0;
        for (long at = 0; at < 64L << 20; at += readBytes)
        {
            BlockRange ahead = Observe(at, readBytes);
            if (ahead.IsEmpty) continue;
            if (fetchedUntil >= 0) Assert.Equal(fetchedUntil, ahead.Offset);
            Assert.Equal(0, ahead.Offset % Chunk);
            Assert.Equal(0, ahead.End % Chunk);
            Assert.InRange(ahead.End - (at + readBytes), 1, WindowMax + Chunk);
            fetchedUntil = ahead.End;
            widest = Math.Max(widest, ahead.End - at - readBytes);
        }

        Assert.InRange(fetchedUntil, (64L << 20) + 1, long.MaxValue);
        Assert.InRange(widest, WindowMax - readBytes - Chunk, WindowMax + Chunk);
    }

    [Fact]
    public void The_window_doubles()
    {
        var windows = new List<long>();
        for (long at = 0; at < 400L * Chunk; at += Chunk)
        {
            BlockRange ahead = Observe(at, Chunk);
            if (!ahead.IsEmpty) windows.Add((ahead.End - at - Chunk) / Chunk);
        }

        Assert.Equal([2, 4, 8, 16, 32, 64, 128, 192], windows[..8]);
        Assert.All(windows[8..], static window => Assert.Equal(192, window));
    }

    // A window of its full size is topped up in GETs that a round trip is worth, and several of them are under way.
    [Fact]
    public void A_full_window_is_topped_up_in_eighths()
    {
        var steps = new List<long>();
        for (long at = 0; at < 1000L * Chunk; at += Chunk)
        {
            BlockRange ahead = Observe(at, Chunk);
            if (!ahead.IsEmpty && at > 200L * Chunk) steps.Add(ahead.Length);
        }

        Assert.NotEmpty(steps);
        Assert.All(steps, static step => Assert.Equal(WindowMax / 8, step));
    }

    [Fact]
    public void Streams_share_the_budget_and_one_that_ends_gives_its_share_back()
    {
        long WidestOf(int streams, int from)
        {
            long widest = 0;
            for (int step = from; step < from + 400; step++)
            {
                for (int stream = 0; stream < streams; stream++)
                {
                    long at = ((long)stream << 36) + (step * (long)Chunk);
                    BlockRange ahead = Observe(at, Chunk);
                    if (!ahead.IsEmpty && step > from + 300) widest = Math.Max(widest, ahead.End - at - Chunk);
                }
            }

            return widest;
        }

        Assert.Equal(WindowMax / 4, WidestOf(4, 0));
        Assert.Equal(WindowMax, WidestOf(1, 400));
    }

    [Fact]
    public void What_found_no_room_is_asked_for_again_by_the_next_read()
    {
        BlockRange ahead = default;
        long at = 0;
        for (; at < 40L * Chunk || ahead.IsEmpty; at += Chunk) ahead = Observe(at, Chunk);
        _detector.Forget(ahead, ahead.Offset + Chunk + 4096);
        BlockRange again = Observe(at, Chunk);
        Assert.Equal(ahead.Offset + Chunk, again.Offset);
        Assert.InRange(again.End, ahead.End, long.MaxValue);
    }

    [Fact]
    public void Random_reads_fetch_nothing_ahead()
    {
        var random = new Random(3);
        for (int i = 0; i < 20_000; i++)
            Assert.True(Observe(random.NextInt64(Size / 8192) * 8192, 8192).IsEmpty);
    }

    [Fact]
    public void Reads_going_backwards_fetch_nothing_ahead()
    {
        for (long at = 500L * Chunk; at > 0; at -= Chunk) Assert.True(Observe(at, Chunk).IsEmpty);
        for (long at = 500L * Chunk; at > 0; at -= 8192) Assert.True(Observe(at, 8192).IsEmpty);
    }

    [Fact]
    public void Eight_streams_are_followed_at_once_beside_random_reads()
    {
        var random = new Random(4);
        var detector = new ReadAheadDetector(Chunk, Budget, streams: 9);
        var fetched = new long[8];
        for (int step = 0; step < 100; step++)
        {
            for (int stream = 0; stream < 8; stream++)
            {
                long at = ((long)stream << 36) + step * (long)Chunk;
                fetched[stream] += detector.Observe(new BlockRange(at, Chunk), Size).Length;
            }

            detector.Observe(new BlockRange((1L << 39) + random.NextInt64(1 << 25) * 8192, 8192), Size);
        }

        Assert.All(fetched, static bytes => Assert.InRange(bytes, 98L * Chunk, long.MaxValue));
    }

    [Fact]
    public void A_jump_begins_a_new_stream_with_the_smallest_window()
    {
        for (long at = 0; at < 50L * Chunk; at += Chunk) Observe(at, Chunk);
        Assert.True(Observe(10_000L * Chunk, Chunk).IsEmpty);
        Assert.Equal(new BlockRange(10_002L * Chunk, 2 * Chunk), Observe(10_001L * Chunk, Chunk));
    }

    // Connections race, so reads of one scan arrive in a slightly shuffled order.
    [Fact]
    public void Reads_that_overtake_each_other_are_one_stream()
    {
        for (long at = 0; at < 8L * Chunk; at += Chunk) Observe(at, Chunk);
        long fetched = 0;
        for (long at = 8L * Chunk; at < 200L * Chunk; at += 4L * Chunk)
        {
            foreach (int place in new[] { 2, 0, 3, 1 }) fetched += Observe(at + place * Chunk, Chunk).Length;
        }

        Assert.InRange(fetched, 180L * Chunk, (200L * Chunk) + WindowMax);
    }

    [Fact]
    public void Reading_the_same_place_again_fetches_nothing()
    {
        for (long at = 0; at < 4L * Chunk; at += Chunk) Observe(at, Chunk);
        for (int i = 0; i < 10; i++) Assert.True(Observe(3L * Chunk, Chunk).IsEmpty);
    }

    [Fact]
    public void Nothing_is_fetched_past_the_end_of_the_export()
    {
        long size = 10L * Chunk + 4096;
        long fetchedUntil = 0;
        for (long at = 0; at < size; at += Chunk)
        {
            BlockRange ahead = _detector.Observe(new BlockRange(at, Math.Min(Chunk, size - at)), size);
            if (!ahead.IsEmpty) fetchedUntil = ahead.End;
        }

        Assert.Equal(size, fetchedUntil);
    }

    [Fact]
    public void Without_a_budget_there_is_no_read_ahead()
    {
        var detector = new ReadAheadDetector(Chunk, budgetBytes: 0);
        for (long at = 0; at < 50L * Chunk; at += Chunk)
            Assert.True(detector.Observe(new BlockRange(at, Chunk), Size).IsEmpty);
    }

    private BlockRange Observe(long offset, long length) => _detector.Observe(new BlockRange(offset, length), Size);
}
