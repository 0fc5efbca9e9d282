using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Tests.Engine;

// A read across damage: what is whole comes, and the fault names the rest.
public sealed class DamagedReadTests
{
    private const int Chunk = 16 * 1024;
    private const int Chunks = 12;

    // A damaged byte in the middle of a chunk, one chunk after another, and at last in all of them.
    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(Chunks - 1)]
    [InlineData(2, 3, 4)]
    [InlineData(1, 6, 7, 10)]
    [InlineData(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)]
    public async Task A_read_names_exactly_what_is_damaged_and_has_the_rest(params int[] damaged)
    {
        await using var bench = new StoreBench();
        RunningStore store = await bench.OpenAsync();
        TestDisk disk = await store.AttachAsync("disk");
        byte[] bytes = new byte[Chunks * Chunk];
        new Random(3).NextBytes(bytes);
        await disk.WriteAsync(0, bytes);
        await store.Store.FlushAsync(DurabilityLevel.Published, StoreBench.Cancellation);
        string table = Assert.Single(bench.TableKeys, key => bench.Objects.Peek(key)!.Length > bytes.Length);
        await bench.CrashAsync(store, loseWal: true);
        store = await bench.OpenAsync();
        disk = store.Find("disk", disk.Image);

        // Noise is stored as it is, one sealed frame after another, behind the head of the table.
        foreach (int chunk in damaged) bench.Objects.FlipByte(table, (chunk * Chunk) + (Chunk / 2));

        const int From = 1000, Length = (Chunks * Chunk) - 3000;
        byte[] read = new byte[Length];
        StorageFaultException fault = await Assert.ThrowsAsync<StorageFaultException>(
            async () => await disk.Device.ReadAsync(From, read, StoreBench.Cancellation));
        Assert.Equal(FaultKind.Corrupt, fault.Kind);
        bool[] failed = new bool[Length];
        foreach (BlockRange range in fault.FailedRanges) failed.AsSpan((int)range.Offset - From, (int)range.Length).Fill(true);
        for (int i = 0; i < Length; i++)
        {
            if (damaged.Contains((From + i) / Chunk) != failed[i]) Assert.Fail($"Byte {From + i} is told wrong.");
            if (!failed[i] && read[i] != disk.Image[From + i]) Assert.Fail($"Byte {From + i} is not there.");
        }

        Assert.InRange(fault.FailedRanges.Count, 1, damaged.Length);
    }
}
