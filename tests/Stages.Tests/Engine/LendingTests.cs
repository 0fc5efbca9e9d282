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

        List<BufferPiece> pieces = await LendAsync(disk, 0);
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
        Assert.Empty(await LendAsync(disk, 0));
        await disk.CheckAsync(0, Length);
        await disk.FillAsync(2 * ChunkBytes, ChunkBytes, 2);

        List<BufferPiece> pieces = await LendAsync(disk, 0);
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
        List<BufferPiece> pieces = await LendAsync(disk, 0);
        int count = pieces.Count;
        Release(pieces);
        return count;
    }

    // What is lent leaves the destination alone; what is not is in it.
    private static async Task<List<BufferPiece>> LendAsync(TestDisk disk, long offset)
    {
        var pieces = new List<BufferPiece>();
        byte[] read = new byte[Length];
        await disk.Device.ReadOrBorrowAsync(offset, read, pieces, StoreBench.Cancellation);
        if (pieces.Count == 0) Assert.Equal(disk.Image[(int)offset..((int)offset + Length)], read);
        else Assert.Equal(-1, read.AsSpan().IndexOfAnyExcept((byte)0));
        return pieces;
    }

    private static void AssertAre(byte[] expected, List<BufferPiece> pieces) =>
        Assert.Equal(expected, pieces.SelectMany(piece => piece.Lease.Span.Slice(piece.Start, piece.Length).ToArray()));

    private static void Release(List<BufferPiece> pieces) => pieces.ForEach(static piece => piece.Lease.Release());
}
