using System.Diagnostics;
using ZeroFlow.Perf.Emulation;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Perf.Tests.Emulation;

public sealed class BarrierDeviceTests : IDisposable
{
    private static readonly TimeSpan Trip = TimeSpan.FromMilliseconds(40);

    private readonly string _path = Path.GetTempFileName();
    private readonly BufferPool _pool = new(1 << 20);
    private readonly BarrierDevice _device;

    public BarrierDeviceTests()
    {
        using (FileStream file = File.OpenWrite(_path)) file.SetLength(1 << 20);
        _device = new BarrierDevice(_path, new LatencyLaw(Trip, 0, 1), roundTrips: 4);
    }

    public void Dispose()
    {
        _device.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public async Task A_flush_takes_four_round_trips_and_a_read_waits_for_its_end()
    {
        long begun = Stopwatch.GetTimestamp();
        Task flush = _device.FlushAsync(CancellationToken.None).AsTask();
        await await HeldReadAsync();
        Assert.True(Stopwatch.GetElapsedTime(begun) >= 4 * (Trip - TimeSpan.FromMilliseconds(1)), "The read did not wait.");
        Assert.Equal(1, _device.Barriers);
        await flush;
    }

    [Fact]
    public async Task Without_a_flush_nothing_waits()
    {
        for (int i = 0; i < 100; i++)
        {
            ValueTask read = _device.ReadAsync(0, new byte[4096], CancellationToken.None);
            Assert.True(read.IsCompletedSuccessfully);
            await read;
        }
    }

    [Fact]
    public async Task Flushes_that_wait_for_another_share_the_next()
    {
        Task first = _device.FlushAsync(CancellationToken.None).AsTask();
        Task read = await HeldReadAsync();
        Task[] later = [.. Enumerable.Range(0, 5).Select(_ => _device.FlushAsync(CancellationToken.None).AsTask())];
        await Task.WhenAll([first, read, .. later]);
        Assert.Equal(2, _device.Barriers);
    }

    [Fact]
    public async Task What_was_written_is_read_and_what_was_zeroed_is_zeros()
    {
        await _device.WriteAsync(8192, Payload(7), forceUnitAccess: true, CancellationToken.None);
        Assert.Equal(1, _device.Barriers);
        byte[] read = new byte[4096];
        await _device.ReadAsync(8192, read, CancellationToken.None);
        Assert.All(read, static value => Assert.Equal(7, value));
        await _device.ZeroAsync(new BlockRange(8192, 2048), forceUnitAccess: false, CancellationToken.None);
        await _device.ReadAsync(8192, read, CancellationToken.None);
        Assert.All(read[..2048], static value => Assert.Equal(0, value));
        Assert.All(read[2048..], static value => Assert.Equal(7, value));
    }

    // A read that waits: the barrier has begun.
    private async Task<Task> HeldReadAsync()
    {
        while (true)
        {
            ValueTask read = _device.ReadAsync(0, new byte[4096], CancellationToken.None);
            if (!read.IsCompleted) return read.AsTask();
            await read;
            await Task.Yield();
        }
    }

    private BufferLease Payload(byte value)
    {
        BufferLease lease = _pool.Rent(4096);
        lease.Span.Fill(value);
        return lease;
    }
}
