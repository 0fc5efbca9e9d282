using System.Runtime.InteropServices;
using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Crash;

/// <summary>
/// What a large export must hold, at 4 bytes a block: how often each block was written. The data of a block follow from its
/// number and that count, and do not compress. Each lane has a part of the disk to itself, with one request under way, so
/// after a kill there are two allowed states for the blocks of that request, and one for all others.
/// </summary>
internal sealed class SoakDisk(string export, long bytes, int lanes)
{
    private const int BlockBytes = 4096;
    private const int ReadBlocks = 256;

    private readonly int[] _counts = new int[bytes / BlockBytes];
    private readonly (int First, int Blocks, bool IsTrim)[] _underWay = new (int, int, bool)[lanes];
    private long _written;
    private int _lastCount;

    /// <summary>Bytes of writes that were answered.</summary>
    public long WrittenBytes => Interlocked.Read(ref _written);

    /// <summary>Random 8 KiB writes, sequential stretches, trims, FLUSHes and checked reads, until the server is lost.</summary>
    public async Task RunAsync(int port, int seed, int connections)
    {
        await Task.WhenAll(Enumerable.Range(0, connections).Select(async connection =>
        {
            try
            {
                await using var client = await NbdClient.ConnectAsync(port, export);
                await Task.WhenAll(Enumerable.Range(0, lanes).Where(lane => lane % connections == connection)
                    .Select(lane => LaneAsync(client, lane, new Random(HashCode.Combine(seed, lane)))));
            }
            catch (IOException)
            {
                // The server was killed.
            }
        }));
    }

    /// <summary>Reads everything; what was under way becomes what is found, if that is the old or the new.</summary>
    public async Task CheckAsync(int port)
    {
        var open = new Dictionary<int, int>();
        foreach (var (first, blocks, isTrim) in _underWay)
        {
            for (int block = first; block < first + blocks; block++) open[block] = isTrim ? 0 : -1;
        }

        await using var client = await NbdClient.ConnectAsync(port, export);
        int next = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            var found = new byte[ReadBlocks * BlockBytes];
            var wanted = new byte[BlockBytes];
            for (int at; (at = Interlocked.Add(ref next, ReadBlocks) - ReadBlocks) < _counts.Length;)
            {
                await client.ReadAsync((long)at * BlockBytes, found);
                for (int i = 0; i < ReadBlocks; i++) Check(at + i, found.AsSpan(i * BlockBytes, BlockBytes), wanted, open);
            }
        }));
        Array.Clear(_underWay);
    }

    private void Check(int block, ReadOnlySpan<byte> found, Span<byte> wanted, Dictionary<int, int> open)
    {
        Fill(wanted, block, _counts[block]);
        if (found.SequenceEqual(wanted)) return;
        if (open.TryGetValue(block, out int other))
        {
            // The count of a write that was not answered stands in its first word.
            int count = other == 0 ? 0 : MemoryMarshal.Read<int>(found);
            Fill(wanted, block, count);
            if (found.SequenceEqual(wanted))
            {
                lock (open) _counts[block] = count;
                return;
            }
        }

        Assert.Fail($"Block {block} is not what was written {_counts[block]} times; it begins with {Convert.ToHexString(found[..16])}.");
    }

    private async Task LaneAsync(NbdClient client, int lane, Random random)
    {
        int blocks = _counts.Length / lanes, start = lane * blocks;
        var buffer = new byte[32 * BlockBytes];
        while (true)
        {
            int kind = random.Next(100);
            if (kind < 70)
            {
                await WriteAsync(client, lane, start + (random.Next(blocks / 2) * 2), 2, buffer);
            }
            else if (kind < 75)
            {
                int first = start + (random.Next((blocks / 256) - 1) * 256);
                for (int at = 0; at < 256; at += 32) await WriteAsync(client, lane, first + at, 32, buffer);
            }
            else if (kind < 78)
            {
                await TrimAsync(client, lane, start + random.Next(blocks - 64), random.Next(1, 64));
            }
            else if (kind < 80)
            {
                await client.FlushAsync();
            }
            else
            {
                await ReadAsync(client, start + random.Next(blocks - 8), random.Next(1, 8), buffer);
            }
        }
    }

    private async Task WriteAsync(NbdClient client, int lane, int first, int blocks, byte[] buffer)
    {
        int count = Interlocked.Increment(ref _lastCount);
        for (int i = 0; i < blocks; i++) Fill(buffer.AsSpan(i * BlockBytes, BlockBytes), first + i, count);
        _underWay[lane] = (first, blocks, false);
        await client.WriteAsync((long)first * BlockBytes, buffer.AsMemory(0, blocks * BlockBytes));
        _counts.AsSpan(first, blocks).Fill(count);
        _underWay[lane] = default;
        Interlocked.Add(ref _written, blocks * BlockBytes);
    }

    private async Task TrimAsync(NbdClient client, int lane, int first, int blocks)
    {
        _underWay[lane] = (first, blocks, true);
        await client.TrimAsync((long)first * BlockBytes, blocks * BlockBytes);
        _counts.AsSpan(first, blocks).Clear();
        _underWay[lane] = default;
    }

    private async Task ReadAsync(NbdClient client, int first, int blocks, byte[] buffer)
    {
        await client.ReadAsync((long)first * BlockBytes, buffer.AsMemory(0, blocks * BlockBytes));
        var wanted = new byte[BlockBytes];
        for (int i = 0; i < blocks; i++)
        {
            Fill(wanted, first + i, _counts[first + i]);
            Assert.True(buffer.AsSpan(i * BlockBytes, BlockBytes).SequenceEqual(wanted), $"Block {first + i} reads wrong.");
        }
    }

    // The count, then a stream that follows from block and count (xorshift64*); zeros for what was never written or trimmed.
    private static void Fill(Span<byte> target, int block, int count)
    {
        if (count == 0)
        {
            target.Clear();
            return;
        }

        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(target);
        ulong state = (((ulong)(uint)block << 32) | (uint)count) * 0x9E3779B97F4A7C15;
        for (int i = 0; i < words.Length; i++)
        {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            words[i] = state * 0x2545F4914F6CDD1D;
        }

        MemoryMarshal.Write(target, count);
    }
}
