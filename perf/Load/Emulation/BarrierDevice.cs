using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using ZeroFlow.Perf.Latency;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Perf.Emulation;

/// <summary>
/// A file, behind an emulation of a server over S3 that needs several round trips for each FLUSH, one behind the other, and
/// lets nothing else go on meanwhile. A write with FUA is one as well.
/// </summary>
/// <remarks>
/// It is kind to what it stands for: only the round trips take time, a FLUSH that waits for another one shares the next with
/// all that wait, reads and writes in between are those of the page cache, and nothing is uploaded or made durable.
/// </remarks>
internal sealed partial class BarrierDevice : IBlockDevice, IDisposable
{
    private const int PunchHoleKeepingSize = 3;

    private readonly SafeFileHandle _file;
    private readonly LatencyLaw _law;
    private readonly int _roundTrips;
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Lock _lock = new();
    private Task? _waiting;
    private TaskCompletionSource? _opened;
    private TaskCompletionSource? _emptied;
    private int _underWay;

    /// <summary>Serves <paramref name="path"/>, whose size is the device's.</summary>
    public BarrierDevice(string path, LatencyLaw law, int roundTrips)
    {
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        (_law, _roundTrips) = (law, roundTrips);
        Info = new ExportInfo(
            new ExportId(1), "emulated", RandomAccess.GetLength(_file), 128 * 1024, DurabilityLevel.Published,
            Description: "an emulation for measuring: nothing is durable");
    }

    public ExportInfo Info { get; }

    /// <summary>Barriers so far, each for one FLUSH or for several that waited together.</summary>
    public int Barriers { get; private set; }

    public async ValueTask ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        await EnterAsync();
        try
        {
            var read = RandomAccess.Read(_file, destination.Span, offset);
            if (read < destination.Length) throw new IOException("The file is shorter than the device.");
        }
        finally
        {
            Leave();
        }
    }

    public async ValueTask WriteAsync(long offset, BufferLease payload, bool forceUnitAccess, CancellationToken cancellation)
    {
        try
        {
            await EnterAsync();
            try
            {
                RandomAccess.Write(_file, payload.Span, offset);
            }
            finally
            {
                Leave();
            }
        }
        finally
        {
            payload.Release();
        }

        if (forceUnitAccess) await FlushAsync(cancellation);
    }

    public async ValueTask ZeroAsync(BlockRange range, bool forceUnitAccess, CancellationToken cancellation)
    {
        await EnterAsync();
        try
        {
            if (!range.IsEmpty && Allocate(_file, PunchHoleKeepingSize, range.Offset, range.Length) != 0)
                throw new IOException($"The file has no holes: error {Marshal.GetLastPInvokeError()}.");
        }
        finally
        {
            Leave();
        }

        if (forceUnitAccess) await FlushAsync(cancellation);
    }

    /// <summary>Joins the barrier that has not begun yet, or asks for one.</summary>
    public ValueTask FlushAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            _waiting ??= HoldAllAsync();
            return new ValueTask(_waiting);
        }
    }

    public async ValueTask<int> GetStatusAsync(BlockRange range, Memory<BlockStatus> extents, CancellationToken cancellation)
    {
        await EnterAsync();
        Leave();
        extents.Span[0] = new BlockStatus(range.Length, IsHole: false);
        return 1;
    }

    public void Prefetch(BlockRange range)
    {
        // A hint, and the page cache has all of it.
    }

    public void Dispose()
    {
        _file.Dispose();
        _turn.Dispose();
    }

    private async Task HoldAllAsync()
    {
        // Without the lock, which the caller holds.
        await Task.Yield();
        await _turn.WaitAsync();
        var opened = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task empty;
        lock (_lock)
        {
            _waiting = null;
            _opened = opened;
            _emptied = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_underWay == 0) _emptied.SetResult();
            empty = _emptied.Task;
        }

        await empty;
        for (var trip = 0; trip < _roundTrips; trip++) await Task.Delay(_law.Next());
        lock (_lock)
        {
            _opened = _emptied = null;
            Barriers++;
        }

        opened.SetResult();
        _turn.Release();
    }

    private async ValueTask EnterAsync()
    {
        while (true)
        {
            Task opened;
            lock (_lock)
            {
                if (_opened is null)
                {
                    _underWay++;
                    return;
                }

                opened = _opened.Task;
            }

            await opened;
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (--_underWay == 0) _emptied?.TrySetResult();
        }
    }

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Allocate(SafeFileHandle file, int mode, long offset, long length);
}
