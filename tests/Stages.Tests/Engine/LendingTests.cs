using Xunit;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Tests.Engine;

// Large reads of what is in memory, without a copy.
public sealed class LendingTests
{
    private const int ChunkBytes = 16 * 1024;
    private const int Length = 8 * ChunkBytes;

    [Fact]
    public async Task Recent_writes_are_lent_and_stay_as_they_were()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk");
        await disk.FillAsync(0, Length / 2, 1);
        await disk.FillAsync(Length / 2, Length, 2);

        List<BufferPiece> pieces = await LendAsync(disk);
        Assert.Equal([Length / 2, Length / 2], pieces.Select(piece => piece.Length));
        byte[] before = disk.Image[..Length];
        await disk.FillAsync(0, Length, 3);
        AssertAre(before, pieces);
        Release(pieces);
        await disk.CheckAllAsync();
    }

    [Fact]
    public async Task Frames_are_lent_next_to_recent_writes()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, Length, 1);
        await disk.FlushAsync();
        Assert.Empty(await LendAsync(disk));
        await disk.CheckAsync(0, Length);
        await disk.FillAsync(2 * ChunkBytes, ChunkBytes, 2);

        List<BufferPiece> pieces = await LendAsync(disk);
        Assert.Equal(8, pieces.Count);
        AssertAre(disk.Image[..Length], pieces);
        Release(pieces);
    }

    [Fact]
    public async Task What_is_given_back_is_all_that_was_lent()
    {
        await using var bench = new StoreBench();
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk", level: DurabilityLevel.Published);
        await disk.FillAsync(0, Length, 1);
        await disk.FlushAsync();
        await disk.CheckAsync(0, Length);
        await StoreBench.UntilAsync(async () => (await LendAndReleaseAsync(disk)) > 0);
        long rented = bench.Buffers.RentedBytes;
        for (int round = 0; round < 100; round++) Assert.NotEqual(0, await LendAndReleaseAsync(disk));
        Assert.Equal(rented, bench.Buffers.RentedBytes);
    }

    // The cache holds a quarter of the export, so that frames leave while they are looked for: then the bytes are read
    // otherwise, and never fewer of them lent.
    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public async Task Frames_that_leave_meanwhile_are_read_otherwise(int frames)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk", level: DurabilityLevel.Published);
        for (int at = 0; at < disk.Image.Length; at += Length) await disk.FillAsync(at, Length, (byte)(1 + (at / Length)));
        await disk.FlushAsync();
        using var over = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        Task[] readers = [.. Enumerable.Range(0, 4).Select(seed => Task.Run(() => ReadAsync(seed)))];
        await Task.WhenAll(readers);

        async Task ReadAsync(int seed)
        {
            var random = new Random(seed);
            byte[] read = new byte[frames * ChunkBytes];
            while (!over.IsCancellationRequested)
            {
                var pieces = new List<BufferPiece>();
                int at = random.Next((disk.Image.Length - read.Length) / ChunkBytes) * ChunkBytes;
                Array.Clear(read);
                await disk.Device.ReadOrBorrowAsync(at, read, pieces, StoreBench.Cancellation);
                Assert.Equal(pieces.Count == 0 ? 0 : read.Length, pieces.Sum(piece => piece.Length));
                byte[] bytes = pieces.Count == 0
                    ? read
                    : [.. pieces.SelectMany(piece => piece.Lease.Span.Slice(piece.Start, piece.Length).ToArray())];
                Release(pieces);
                Assert.True(disk.Image.AsSpan(at, read.Length).SequenceEqual(bytes), $"other bytes at {at}");
            }
        }
    }

    [Fact]
    public async Task A_write_that_takes_several_records_is_lent_as_one_buffer()
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk");
        await disk.FillAsync(0, 1 << 20, 1);
        var pieces = new List<BufferPiece>();
        await disk.Device.ReadOrBorrowAsync(0, new byte[1 << 20], pieces, StoreBench.Cancellation);
        Assert.True(pieces.Count > 1);
        AssertAre(disk.Image[..(1 << 20)], pieces);
        Release(pieces);
    }

    // Holes have no buffer, and a send of a hundred pieces costs more than a copy.
    [Theory]
    [InlineData("hole")]
    [InlineData("fragments")]
    [InlineData("parts of large frames")]
    public async Task Other_reads_are_copied(string kind)
    {
        await using var bench = new StoreBench();
        bench.Options = bench.Options with { PublishInterval = TimeSpan.FromDays(10) };
        TestDisk disk = await (await bench.OpenAsync()).AttachAsync("disk");
        await disk.FillAsync(0, Length, 1);
        if (kind == "hole") await disk.ZeroAsync(ChunkBytes, ChunkBytes);
        if (kind == "fragments")
            for (int at = 0; at < Length; at += ChunkBytes) await disk.FillAsync(at + 4096, 4096, (byte)(2 + at));
        int length = kind == "parts of large frames" ? Length / 4 : Length;

        var pieces = new List<BufferPiece>();
        byte[] read = new byte[length];
        await disk.Device.ReadOrBorrowAsync(0, read, pieces, StoreBench.Cancellation);
        Assert.Empty(pieces);
        Assert.Equal(disk.Image[..length], read);
    }

    private static async Task<int> LendAndReleaseAsync(TestDisk disk)
    {
        List<BufferPiece> pieces = await LendAsync(disk);
        int count = pieces.Count;
        Release(pieces);
        return count;
    }

    // What is lent leaves the destination alone; what is not is in it.
    private static async Task<List<BufferPiece>> LendAsync(TestDisk disk)
    {
        var pieces = new List<BufferPiece>();
        byte[] read = new byte[Length];
        await disk.Device.ReadOrBorrowAsync(0, read, pieces, StoreBench.Cancellation);
        if (pieces.Count == 0) Assert.Equal(disk.Image[..Length], read);
        else Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
        return pieces;
    }

    private static void AssertAre(byte[] expected, List<BufferPiece> pieces) =>
        Assert.Equal(expected, pieces.SelectMany(piece => piece.Lease.Span.Slice(piece.Start, piece.Length).ToArray()));

    private static void Release(List<BufferPiece> pieces) => pieces.ForEach(static piece => piece.Lease.Release());
}
