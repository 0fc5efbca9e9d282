using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.Stages.Reading;

namespace ZeroFlow.Stages.Tests.Reading;

public sealed class FrameCacheDeviceTests : IDisposable
{
    private const int PageBytes = 16 * FrameCacheDevice.BlockBytes;
    private const int SegmentBytes = 4 * PageBytes;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly CacheDirectory _directory = new();
    private readonly unsafe byte* _page =
        (byte*)NativeMemory.AlignedAlloc(PageBytes, FrameCacheDevice.BlockBytes);

    private readonly List<Exception> _failures = [];

    public unsafe void Dispose()
    {
        NativeMemory.AlignedFree(_page);
        _directory.Dispose();
    }

    [Fact]
    public void A_file_system_without_direct_writes_gets_ordinary_ones()
    {
        using FrameCacheDevice device = Open(static _ => null);
        AssertKeeps(device);
    }

    // /dev/full takes no byte; whether the disk itself is full shows in the ordinary write behind it.
    [Fact]
    public void Direct_writes_that_fail_are_made_as_ordinary_ones_and_not_tried_again()
    {
        int opened = 0;
        using FrameCacheDevice device = Open(_ =>
        {
            opened++;
            return File.OpenHandle("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        });
        AssertKeeps(device);
        Assert.Equal(2, opened);
    }

    [Fact]
    public void Direct_writes_are_made_where_there_are_any()
    {
        int opened = 0;
        using FrameCacheDevice device = Open(path =>
        {
            SafeFileHandle? direct = PosixFiles.TryOpenDirect(path);
            if (direct is not null) opened++;
            return direct;
        });
        AssertKeeps(device);
        Assert.SkipWhen(opened == 0, $"The file system of {_directory.Path} has no direct writes.");
        Assert.Equal(2, opened);
    }

    [Fact]
    public async Task Who_waits_for_the_disk_goes_on_when_few_enough_writes_are_left()
    {
        using var mayWrite = new ManualResetEventSlim();
        using FrameCacheDevice device = Open(_ =>
        {
            mayWrite.Wait();
            return null;
        });
        using var done = new CountdownEvent(3);
        for (int page = 0; page < 3; page++) Write(device, page, () => done.Signal());
        await device.WhenQueuedAtMostAsync(3);
        Task few = device.WhenQueuedAtMostAsync(1).AsTask();
        await Task.Delay(20, TestContext.Current.CancellationToken);
        Assert.False(few.IsCompleted);

        mayWrite.Set();
        await few.WaitAsync(Soon, TestContext.Current.CancellationToken);
        Assert.InRange(done.CurrentCount, 0, 1);
        Assert.True(done.Wait(Soon, TestContext.Current.CancellationToken));
        await device.WhenQueuedAtMostAsync(0);
        Assert.Empty(_failures);
    }

    private unsafe void Write(FrameCacheDevice device, int page, Action written)
    {
        (int segment, ulong offset) = Place(page);
        device.WriteAsync((nint)_page, segment, offset, PageBytes, (_, _, _) => written(), this);
    }

    // Every page its own bytes, over two segments, several writes under way at once.
    private unsafe void AssertKeeps(FrameCacheDevice device)
    {
        const int Pages = 8;
        byte* pages = (byte*)NativeMemory.AlignedAlloc(Pages * PageBytes, FrameCacheDevice.BlockBytes);
        try
        {
            using var done = new CountdownEvent(Pages);
            for (int page = 0; page < Pages; page++)
            {
                new Span<byte>(pages + (page * PageBytes), PageBytes).Fill((byte)(page + 1));
                (int segment, ulong offset) = Place(page);
                device.WriteAsync(
                    (nint)(pages + (page * PageBytes)), segment, offset, PageBytes, (error, _, _) => done.Signal(), this);
            }

            done.Wait(TestContext.Current.CancellationToken);
        }
        finally
        {
            NativeMemory.AlignedFree(pages);
        }

        for (int page = 0; page < Pages; page++)
        {
            using var done = new ManualResetEventSlim();
            (int segment, ulong offset) = Place(page);
            device.ReadAsync(segment, offset, (nint)_page, PageBytes, (_, _, _) => done.Set(), this);
            done.Wait(TestContext.Current.CancellationToken);
            Assert.Equal(-1, new ReadOnlySpan<byte>(_page, PageBytes).IndexOfAnyExcept((byte)(page + 1)));
        }

        Assert.Empty(_failures);
        Assert.Equal(2 * SegmentBytes, device.BytesOnDisk);
    }

    private static (int Segment, ulong Offset) Place(int page) =>
        (page * PageBytes / SegmentBytes, (ulong)(page * PageBytes % SegmentBytes));

    private FrameCacheDevice Open(Func<string, SafeFileHandle?> openDirect)
    {
        var device = new FrameCacheDevice(_directory.Path, 8, _failures.Add, openDirect);
        device.Initialize(SegmentBytes);
        return device;
    }
}
