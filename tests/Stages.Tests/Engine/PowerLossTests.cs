using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Pipeline.Telemetry;
using ZeroFlow.Stages.Engine;
using ZeroFlow.Stages.Keys;
using ZeroFlow.TestKit.Engine;
using ZeroFlow.TestKit.Journal;
using ZeroFlow.TestKit.ObjectStores;

namespace ZeroFlow.Stages.Tests.Engine;

// The machine loses power: of what was never synced, each sector stays or goes by chance. Every flushed write is there,
// and the device is as it was after some write, none left out before it.
public sealed class PowerLossTests
{
    private const int ExportBytes = 256 * 1024;
    private const int CrashesPerSeed = 3;

    private readonly BufferPool _buffers = new(8 << 20);

    [Theory]
    [InlineData(100, 12)]
    [InlineData(200, 12)]
    [InlineData(300, 12)]
    public async Task Every_flushed_write_survives_and_what_survives_is_a_prefix(int firstSeed, int seeds)
    {
        for (int seed = firstSeed; seed < firstSeed + seeds; seed++) await RunAsync(seed, writeThrough: false);
    }

    [Fact]
    public async Task Without_a_write_cache_every_answered_write_survives()
    {
        for (int seed = 400; seed < 412; seed++) await RunAsync(seed, writeThrough: true);
    }

    private async Task RunAsync(int seed, bool writeThrough)
    {
        var random = new Random(seed);
        var objects = new SimulatedObjectStore(TimeProvider.System);
        var disk = new SimulatedWalDisk();
        byte[] image = new byte[ExportBytes];
        for (int crash = 0; crash < CrashesPerSeed; crash++)
        {
            var way = new SeverableObjectStore(objects);
            using var metrics = new PipelineMetrics();
            BlockStore store = await OpenAsync(way, disk, metrics);
            if (writeThrough) await store.AlterExportAsync("disk", new ExportPatch { WriteThrough = true }, CancellationToken.None);
            Assert.True(store.TryOpen("disk", out IBlockDevice? device));
            byte[] found = new byte[ExportBytes];
            await device.ReadAsync(0, found, CancellationToken.None);
            Assert.Equal(image, found);

            var images = new List<byte[]> { (byte[])image.Clone() };
            int flushed = 0;
            int steps = 5 + random.Next(60);
            for (int step = 0; step < steps; step++)
            {
                await WriteAsync(device, random, image);
                images.Add((byte[])image.Clone());
                if (writeThrough) flushed = images.Count - 1;
                if (writeThrough || random.Next(4) != 0) continue;
                await device.FlushAsync(CancellationToken.None);
                flushed = images.Count - 1;
            }

            SimulatedWalDisk after = disk.Crash(random.Next());
            way.Sever();
            await store.DisposeAsync();
            disk = after;
            image = await ReadAfterCrashAsync(objects, disk.Kill());
            int at = images.FindLastIndex(i => i.AsSpan().SequenceEqual(image));
            Assert.True(at >= flushed, $"seed {seed}, crash {crash}: write {at} of {images.Count - 1}, flushed {flushed}");
        }
    }

    // On a copy of the disk, so that the next round begins from the crash itself.
    private async Task<byte[]> ReadAfterCrashAsync(SimulatedObjectStore objects, SimulatedWalDisk copy)
    {
        var bucket = new SimulatedObjectStore(TimeProvider.System);
        foreach (string key in objects.Keys()) bucket.Plant(key, objects.Peek(key)!);
        using var metrics = new PipelineMetrics();
        BlockStore store = await OpenAsync(new SeverableObjectStore(bucket), copy, metrics);
        Assert.True(store.TryOpen("disk", out IBlockDevice? device));
        byte[] image = new byte[ExportBytes];
        await device.ReadAsync(0, image, CancellationToken.None);
        await store.DisposeAsync();
        return image;
    }

    private async Task<BlockStore> OpenAsync(SeverableObjectStore way, SimulatedWalDisk disk, PipelineMetrics metrics)
    {
        var options = new StoreOptions
        {
            PublishInterval = TimeSpan.FromHours(1),
            WalSegmentBytes = 1024 * 1024,
            WalBytes = 16 * 1024 * 1024,
            DirtyMemoryBytes = 64 * 1024,
            DiskCacheBytes = 0,
            ChunkBytes = 16 * 1024,
            StallThreshold = TimeSpan.FromHours(1),
            StopTimeout = TimeSpan.Zero,
        };
        BlockStore store = await BlockStore.OpenAsync(
            options,
            new StoreComponents
            {
                Objects = way,
                WalDisk = disk,
                Time = TimeProvider.System,
                Entropy = new SystemEntropy(),
                Buffers = _buffers,
                Metrics = metrics,
                Loggers = NullLoggerFactory.Instance,
                Passphrase = new Passphrase("a passphrase for tests"),
                NewStoreKdf = new KdfCost(8, 1),
            },
            CancellationToken.None);
        await store.EnsureExportAsync("disk", ExportBytes, DurabilityLevel.Journaled, CancellationToken.None);
        return store;
    }

    private async Task WriteAsync(IBlockDevice device, Random random, byte[] image)
    {
        int offset = random.Next(ExportBytes - 1);
        int length = 1 + random.Next(Math.Min(random.Next(8) == 0 ? 60_000 : 5000, ExportBytes - offset));
        if (random.Next(6) == 0)
        {
            image.AsSpan(offset, length).Clear();
            await device.ZeroAsync(new BlockRange(offset, length), false, CancellationToken.None);
            return;
        }

        BufferLease payload = _buffers.Rent(length);
        random.NextBytes(payload.Span);
        payload.Span.CopyTo(image.AsSpan(offset));
        await device.WriteAsync(offset, payload, false, CancellationToken.None);
    }
}
