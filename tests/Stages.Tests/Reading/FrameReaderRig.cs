using Xunit;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

/// <summary>A reader with its bucket and caches. Checks on disposal that every buffer came back.</summary>
internal sealed class FrameReaderRig : IAsyncDisposable
{
    private readonly CacheDirectory _directory = new();

    public FrameReaderRig(FrameReaderOptions? options = null, bool hasDisk = false, long memoryBytes = 64 << 20)
    {
        Memory = new FrameMemoryCache(memoryBytes);
        if (hasDisk)
        {
            Disk = new FrameDiskCache(
                new FrameDiskCacheOptions
                {
                    Directory = _directory.Path,
                    DiskBytes = 4 << 20,
                    MemoryBytes = 256 << 10,
                    PageBytes = 64 << 10,
                },
                Pool, TimeProvider.System, new CountingLog());
        }

        Reader = new FrameReader(Bucket, Bucket, Memory, Disk, Pool, Metrics, options ?? new FrameReaderOptions());
    }

    public FrameBucket Bucket { get; } = new();

    public BufferPool Pool { get; } = new(16 << 20);

    public PipelineMetrics Metrics { get; } = new();

    public FrameMemoryCache Memory { get; }

    public FrameDiskCache? Disk { get; }

    public FrameReader Reader { get; }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>Reads a frame and checks its bytes.</summary>
    public async Task ReadAsync(FrameRef frame, CancellationToken? cancellation = null)
    {
        BufferLease lease = await Reader.ReadAsync(frame, cancellation ?? Stop);
        Check(frame, lease);
    }

    /// <summary>Reads frames in one call and checks their bytes.</summary>
    public async Task ReadManyAsync(params FrameRef[] frames)
    {
        var leases = new BufferLease?[frames.Length];
        await Reader.ReadManyAsync(frames, leases, Stop);
        for (int i = 0; i < frames.Length; i++) Check(frames[i], leases[i]!);
    }

    /// <summary>Waits, within reason, until <paramref name="condition"/> holds.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        for (int i = 0; i < 5000 && !condition(); i++) await Task.Delay(2, Stop);
        Assert.True(condition());
    }

    public async ValueTask DisposeAsync()
    {
        await Reader.DisposeAsync();
        if (Disk is not null) await Disk.DisposeAsync();
        Memory.Clear();
        Assert.Equal(0, Pool.RentedBytes);
        Assert.Equal(0, Reader.FetchBytesInFlight);
        Metrics.Dispose();
        _directory.Dispose();
    }

    private static void Check(in FrameRef frame, BufferLease lease)
    {
        byte[] bytes = lease.Span.ToArray();
        lease.Release();
        Assert.Equal(FrameBucket.PlainOf(frame), bytes);
    }
}
