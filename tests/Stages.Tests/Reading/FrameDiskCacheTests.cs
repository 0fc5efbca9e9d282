using Xunit;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class FrameDiskCacheTests : IDisposable
{
    private const int PageBytes = 64 * 1024;
    private const int DiskBytes = 64 * PageBytes;

    private readonly CacheDirectory _directory = new();
    private readonly BufferPool _pool = new(16 << 20);
    private readonly CountingLog _log = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_put_in_comes_out()
    {
        await using FrameDiskCache cache = Open();
        foreach (int length in new[] { 1, 17, 4112, 20_000, 60_000 })
            cache.Insert(new FrameKey(0, length), Frame(length));
        await cache.DrainAsync(Stop);
        foreach (int length in new[] { 1, 17, 4112, 20_000, 60_000 })
            Assert.Equal(Frame(length), await ReadAsync(cache, new FrameKey(0, length), length));
        Assert.Equal((5, 0, 5), (cache.Hits, cache.Misses, cache.Inserts));
    }

    [Fact]
    public async Task Another_name_or_another_length_is_a_miss()
    {
        await using FrameDiskCache cache = Open();
        cache.Insert(new FrameKey(0, 5), Frame(100));
        await cache.DrainAsync(Stop);
        Assert.Null(await ReadAsync(cache, new FrameKey(5, 0), 100));
        Assert.Null(await ReadAsync(cache, new FrameKey(0, 5), 99));
        Assert.Null(await ReadAsync(cache, new FrameKey(0, 5), 101));
        Assert.Equal((0, 3), (cache.Hits, cache.Misses));
        Assert.Equal(0, _pool.RentedBytes);
    }

    [Fact]
    public async Task A_dropped_frame_is_gone_and_can_come_back()
    {
        await using FrameDiskCache cache = Open();
        cache.Insert(new FrameKey(1, 1), Frame(5000));
        cache.Drop(new FrameKey(1, 1));
        await cache.DrainAsync(Stop);
        Assert.Null(await ReadAsync(cache, new FrameKey(1, 1), 5000));
        cache.Insert(new FrameKey(1, 1), Frame(6000));
        await cache.DrainAsync(Stop);
        Assert.Equal(Frame(6000), await ReadAsync(cache, new FrameKey(1, 1), 6000));
    }

    // 3 MiB through 256 KiB of log memory: most of it is read back from the files.
    [Fact]
    public async Task Frames_beyond_the_memory_of_the_log_come_from_disk()
    {
        await using FrameDiskCache cache = Open();
        for (int frame = 0; frame < 300; frame++)
            await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000 + frame));
        Assert.InRange(cache.BytesOnDisk, 2 << 20, DiskBytes);
        for (int frame = 0; frame < 300; frame++)
            Assert.Equal(Frame(10_000 + frame), await ReadAsync(cache, new FrameKey(0, frame), 10_000 + frame));
    }

    [Fact]
    public async Task The_oldest_frames_go_when_the_disk_budget_is_reached()
    {
        await using FrameDiskCache cache = Open();
        for (int frame = 0; frame < 2000; frame++)
        {
            await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
            Assert.InRange(cache.BytesOnDisk, 0, DiskBytes);
            if (frame % 100 == 0) Assert.InRange(_directory.Bytes, 0, DiskBytes);
        }

        Assert.Null(await ReadAsync(cache, new FrameKey(0, 0), 10_000));
        Assert.Null(await ReadAsync(cache, new FrameKey(0, 1000), 10_000));
        // Two segments of 64 KiB stay free; the ends of pages are too short for a record.
        int kept = 0;
        for (int frame = 1600; frame < 2000; frame++)
            if (await ReadAsync(cache, new FrameKey(0, frame), 10_000) is not null) kept++;
        Assert.InRange(kept, 340, 400);
        Assert.True(cache.IsOn);
    }

    [Fact]
    public async Task A_frame_larger_than_a_page_is_left_out()
    {
        await using FrameDiskCache cache = Open();
        cache.Insert(new FrameKey(0, 0), Frame(PageBytes));
        cache.Insert(new FrameKey(0, 1), Frame(PageBytes - 64));
        await cache.DrainAsync(Stop);
        Assert.Null(await ReadAsync(cache, new FrameKey(0, 0), PageBytes));
        Assert.NotNull(await ReadAsync(cache, new FrameKey(0, 1), PageBytes - 64));
        Assert.Equal(1, cache.Drops);
    }

    // Readers and writers at once, over four times what the disk holds: every hit must be the right frame.
    [Fact]
    public async Task Concurrent_readers_and_writers_see_only_right_bytes()
    {
        await using FrameDiskCache cache = Open();
        Task[] workers = [.. Enumerable.Range(0, 6).Select(worker => Task.Factory.StartNew(
            () => WorkAsync(worker), Stop, TaskCreationOptions.None, TaskScheduler.Default).Unwrap())];
        await Task.WhenAll(workers);
        Assert.NotEqual(0, cache.Hits);
        Assert.NotEqual(0, cache.Misses);
        Assert.True(cache.IsOn);
        await cache.DrainAsync(Stop);
        Assert.Equal(0, _pool.RentedBytes);
        Assert.Equal(0, _log.Warnings);

        async Task WorkAsync(int worker)
        {
            var random = new Random(worker);
            for (int round = 0; round < 1500; round++)
            {
                // Workers that only miss never wait, and keep the few threads there are from the loop that puts in.
                if (round % 8 == 0) await cache.DrainAsync(Stop);
                int frame = random.Next(1500);
                int length = 1 + frame * 13 % 20_000;
                byte[]? found = await ReadAsync(cache, new FrameKey(3, frame), length);
                if (found is null) cache.Insert(new FrameKey(3, frame), Frame(length));
                else if (!found.AsSpan().SequenceEqual(Frame(length))) Assert.Fail($"frame {frame} has other bytes");
            }
        }
    }

    // Wrong bytes on the disk must not reach FASTER, which would follow them as record headers.
    [Fact]
    public async Task Altered_files_make_misses_or_wrong_payload_but_no_failure()
    {
        await using FrameDiskCache cache = Open();
        for (int frame = 0; frame < 300; frame++) await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
        var random = new Random(1);
        foreach (string file in _directory.Files)
        {
            byte[] bytes = await File.ReadAllBytesAsync(file, Stop);
            for (int at = 0; at < bytes.Length; at += random.Next(16_000)) bytes[at] ^= 0xFF;
            await File.WriteAllBytesAsync(file, bytes, Stop);
        }

        int right = 0;
        for (int frame = 0; frame < 300; frame++)
        {
            byte[]? found = await ReadAsync(cache, new FrameKey(0, frame), 10_000);
            if (Frame(10_000).AsSpan().SequenceEqual(found)) right++;
        }

        Assert.InRange(right, 1, 299);
        Assert.True(cache.IsOn);
    }

    [Fact]
    public async Task Truncated_files_make_misses()
    {
        await using FrameDiskCache cache = Open();
        for (int frame = 0; frame < 300; frame++) await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
        foreach (string file in _directory.Files) await File.WriteAllBytesAsync(file, [], Stop);
        Assert.Null(await ReadAsync(cache, new FrameKey(0, 0), 10_000));
        Assert.True(cache.IsOn);
    }

    [Fact]
    public async Task Files_of_an_earlier_run_are_deleted_and_foreign_files_stay()
    {
        string old = Path.Combine(_directory.Path, "frames.log.12");
        string foreign = Path.Combine(_directory.Path, "somebody-elses");
        await File.WriteAllTextAsync(old, "old", Stop);
        await File.WriteAllTextAsync(foreign, "keep", Stop);
        await using FrameDiskCache cache = Open();
        Assert.False(File.Exists(old));
        Assert.True(File.Exists(foreign));
    }

    [Fact]
    public async Task A_closed_cache_leaves_no_files_and_no_buffers()
    {
        FrameDiskCache cache = Open();
        for (int frame = 0; frame < 100; frame++) await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
        for (int frame = 0; frame < 100; frame++) cache.Insert(new FrameKey(0, frame), Frame(10_000));
        await cache.DisposeAsync();
        Assert.Empty(_directory.Files);
        Assert.Equal(0, _pool.RentedBytes);
        Assert.Null(await cache.TryReadAsync(new FrameKey(0, 0), 10_000));
        cache.Insert(new FrameKey(0, 0), Frame(10));
        await cache.DisposeAsync();
    }

    [Fact]
    public async Task A_place_that_cannot_be_used_turns_the_cache_off()
    {
        string file = Path.Combine(_directory.Path, "file");
        await File.WriteAllTextAsync(file, "", Stop);
        await using FrameDiskCache cache = Open(Path.Combine(file, "below"));
        Assert.False(cache.IsOn);
        cache.Insert(new FrameKey(0, 0), Frame(10));
        cache.Drop(new FrameKey(0, 0));
        Assert.Null(await cache.TryReadAsync(new FrameKey(0, 0), 10));
        Assert.Equal(1, _log.Warnings);
    }

    // With its directory gone, the next segment file cannot be made: the same path as a full or broken disk.
    [Fact]
    public async Task A_failing_disk_turns_the_cache_off_with_one_line_and_readers_miss()
    {
        await using FrameDiskCache cache = Open();
        for (int frame = 0; frame < 100; frame++) await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
        _directory.Dispose();
        for (int frame = 100; frame < 1000 && cache.IsOn; frame++)
            await InsertAsync(cache, new FrameKey(0, frame), Frame(10_000));
        await FrameReaderRig.UntilAsync(() => _log.Warnings > 0);
        Assert.False(cache.IsOn);
        for (int frame = 0; frame < 100; frame++) Assert.Null(await ReadAsync(cache, new FrameKey(0, frame), 10_000));
        Assert.Equal(1, _log.Warnings);
    }

    public void Dispose() => _directory.Dispose();

    private static byte[] Frame(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static async Task<byte[]?> ReadAsync(FrameDiskCache cache, FrameKey key, int length)
    {
        if (await cache.TryReadAsync(key, length) is not { } lease) return null;
        byte[] bytes = lease.Span.ToArray();
        lease.Release();
        return bytes;
    }

    private static async Task InsertAsync(FrameDiskCache cache, FrameKey key, byte[] frame)
    {
        cache.Insert(key, frame);
        if (key.Frame % 20 == 19) await cache.DrainAsync(Stop);
    }

    private FrameDiskCache Open(string? directory = null) => new(
        new FrameDiskCacheOptions
        {
            Directory = directory ?? _directory.Path,
            DiskBytes = DiskBytes,
            MemoryBytes = 4 * PageBytes,
            PageBytes = PageBytes,
        },
        _pool, TimeProvider.System, _log);
}
