using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Stages.Tests.Engine;

// An export and the bytes that it must hold: what was answered is in the image.
internal sealed class TestDisk(IBlockDevice device, BufferPool buffers, byte[] image)
{
    public IBlockDevice Device => device;

    public byte[] Image => image;

    public async Task WriteAsync(long offset, byte[] bytes, bool forceUnitAccess = false)
    {
        await device.WriteAsync(offset, Lease(bytes), forceUnitAccess, StoreBench.Cancellation)
            .AsTask().WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        bytes.CopyTo(image, offset);
    }

    // Starts a write whose answer may never come; the image does not know of it.
    public Task BeginWriteAsync(long offset, byte[] bytes) =>
        device.WriteAsync(offset, Lease(bytes), false, StoreBench.Cancellation).AsTask();

    public Task FillAsync(long offset, int length, byte stamp)
    {
        byte[] bytes = new byte[length];
        bytes.AsSpan().Fill(stamp);
        return WriteAsync(offset, bytes);
    }

    public async Task ZeroAsync(long offset, long length)
    {
        await device.ZeroAsync(new BlockRange(offset, length), false, StoreBench.Cancellation)
            .AsTask().WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Array.Clear(image, (int)offset, (int)length);
    }

    public Task FlushAsync() =>
        device.FlushAsync(StoreBench.Cancellation).AsTask().WaitAsync(StoreBench.Soon, StoreBench.Cancellation);

    public async Task<byte[]> ReadAsync(long offset, int length)
    {
        byte[] read = new byte[length];
        Random.Shared.NextBytes(read);
        await device.ReadAsync(offset, read, StoreBench.Cancellation)
            .AsTask().WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        return read;
    }

    public async Task CheckAsync(long offset, int length)
    {
        byte[] read = await ReadAsync(offset, length);
        int same = read.AsSpan().CommonPrefixLength(image.AsSpan((int)offset, length));
        Assert.True(
            same == length,
            $"{device.Info.Name} differs at byte {offset + same}, in a read of {length} bytes at {offset}.");
    }

    public async Task CheckAllAsync()
    {
        const int Piece = 1 << 20;
        for (int at = 0; at < image.Length; at += Piece) await CheckAsync(at, Math.Min(Piece, image.Length - at));
    }

    private BufferLease Lease(byte[] bytes)
    {
        BufferLease payload = buffers.Rent(bytes.Length);
        bytes.CopyTo(payload.Span);
        return payload;
    }
}
