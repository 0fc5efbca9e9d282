using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using FASTER.core;
using Microsoft.Win32.SafeHandles;
using ZeroFlow.Stages.ObjectStores;

namespace ZeroFlow.Stages.Reading;

/// <summary>
/// Where FASTER keeps the disk cache's log: one file per segment, written past the page cache where the file system has
/// that, read through it, and never synced, because the cache is rebuilt empty at every start. Thread-safe.
/// </summary>
/// <remarks>
/// <para>FASTER trusts what its device returns, and stops for good when a write fails. So this device never reports an
/// error to it. Each block carries a checksum in memory, and a block that was never written, cannot be read, or
/// is not what was written reads as zeros, which FASTER takes for "no such record". The first I/O error
/// ends all I/O, deletes the files, and goes to the owner.</para>
/// <para>FASTER deletes segments behind the scenes and may be late. The bound of the disk is this device's to keep: it
/// deletes the oldest file before it makes one too many, and what is gone reads as zeros.</para>
/// <para>Most of what is written is never read, and its copy in the page cache would cost more than all else that is done
/// for it, and memory that others need. A block that is read while it is written may leave its old content in the page cache;
/// its checksum makes that a miss.</para>
/// <para>FASTER issues I/O while it holds an epoch, so none of it runs on its caller. Reads run on the thread pool. Writes wait
/// for the disk and run one behind the other, on a thread of their own.</para>
/// </remarks>
internal sealed class FrameCacheDevice : StorageDeviceBase
{
    /// <summary>Unit of I/O and of checksums in bytes.</summary>
    public const int BlockBytes = 4096;

    private const string FilePrefix = "frames.log.";

    private readonly string _directory;
    private readonly int _segmentsMax;
    private readonly Action<Exception> _onFailure;
    private readonly Func<string, SafeFileHandle?> _openDirect;
    private readonly ConcurrentDictionary<int, Segment> _segments = new();
    private readonly BlockingCollection<Transfer> _writes = [];
    private readonly Lock _creating = new();
    private int _writesQueued;
    private TaskCompletionSource? _written;
    private int _removedBelow;
    private int _pending;
    private volatile bool _stopped;

    /// <summary>
    /// Makes the device, of at most <paramref name="segmentsMax"/> files, in an existing directory, and deletes the
    /// files of an earlier one.
    /// </summary>
    /// <param name="directory">Where the files are.</param>
    /// <param name="segmentsMax">Most files at once.</param>
    /// <param name="onFailure">Told of the first I/O error.</param>
    /// <param name="openDirect">Opens a file for writing past the page cache, or answers null; O_DIRECT when absent.</param>
    /// <exception cref="IOException">An old file cannot be deleted.</exception>
    public FrameCacheDevice(
        string directory, int segmentsMax, Action<Exception> onFailure, Func<string, SafeFileHandle?>? openDirect = null)
        : base(Path.Combine(directory, "frames.log"), BlockBytes, Devices.CAPACITY_UNSPECIFIED)
    {
        _directory = directory;
        _segmentsMax = segmentsMax;
        _onFailure = onFailure;
        _openDirect = openDirect ?? PosixFiles.TryOpenDirect;
        foreach (string old in Directory.EnumerateFiles(directory, FilePrefix + "*")) File.Delete(old);
        new Thread(WriteQueued) { IsBackground = true, Name = "zf-cache" }.UnsafeStart();
    }

    /// <summary>Bytes of the files now.</summary>
    public long BytesOnDisk => _segments.Values.Sum(static segment => segment.Length);

    /// <inheritdoc/>
    public override void WriteAsync(
        nint sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite,
        DeviceIOCompletionCallback callback, object context)
    {
        Interlocked.Increment(ref _pending);
        Interlocked.Increment(ref _writesQueued);
        var transfer = new Transfer(
            this, true, segmentId, (long)destinationAddress, sourceAddress, (int)numBytesToWrite, callback, context);
        try
        {
            _writes.Add(transfer);
        }
        catch (InvalidOperationException)
        {
            // The device has stopped. Nothing is written any more, but FASTER waits for its callback.
            ThreadPool.UnsafeQueueUserWorkItem(transfer, preferLocal: false);
        }
    }

    /// <inheritdoc/>
    public override void ReadAsync(
        int segmentId, ulong sourceAddress, nint destinationAddress, uint readLength,
        DeviceIOCompletionCallback callback, object context)
    {
        Interlocked.Increment(ref _pending);
        ThreadPool.UnsafeQueueUserWorkItem(
            new Transfer(
                this, false, segmentId, (long)sourceAddress, destinationAddress, (int)readLength, callback, context),
            preferLocal: false);
    }

    /// <summary>Completes when at most <paramref name="most"/> writes are under way or in line. For one caller at a time.</summary>
    public async ValueTask WhenQueuedAtMostAsync(int most)
    {
        while (Volatile.Read(ref _writesQueued) > most)
        {
            var written = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Volatile.Write(ref _written, written);
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref _writesQueued) > most) await written.Task;
        }
    }

    /// <inheritdoc/>
    public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result)
    {
        try
        {
            lock (_creating) RemoveThrough(segment);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            Fail(fault);
        }

        callback(result);
    }

    /// <summary>Ends all I/O: what is under way is waited for, later calls do nothing. Deletes the files.</summary>
    public async Task StopAsync(TimeProvider time)
    {
        _stopped = true;
        // The buffers belong to FASTER's pages, which are freed after this. Transfers last milliseconds at most.
        while (Volatile.Read(ref _pending) > 0) await Task.Delay(TimeSpan.FromMilliseconds(1), time);
        Dispose();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _stopped = true;
        _writes.CompleteAdding();
        DeleteAll();
    }

    private void WriteQueued()
    {
        foreach (Transfer transfer in _writes.GetConsumingEnumerable()) transfer.Execute();
    }

    private void End(bool isWrite)
    {
        if (isWrite)
        {
            Interlocked.Decrement(ref _writesQueued);
            Interlocked.Exchange(ref _written, null)?.TrySetResult();
        }

        Interlocked.Decrement(ref _pending);
    }

    private void Write(int segmentId, long offset, ReadOnlySpan<byte> bytes)
    {
        if (_stopped || OpenOrCreate(segmentId) is not { } segment) return;
        segment.Write(offset, bytes);
        segment.Record(offset, bytes);
    }

    private void Read(int segmentId, long offset, Span<byte> bytes)
    {
        if (_stopped || !_segments.TryGetValue(segmentId, out Segment? segment))
        {
            bytes.Clear();
            return;
        }

        int filled = 0;
        while (filled < bytes.Length)
        {
            int read = RandomAccess.Read(segment.Handle, bytes[filled..], offset + filled);
            if (read == 0) break;
            filled += read;
        }

        bytes[filled..].Clear();
        segment.ClearWhatDiffers(offset, bytes);
    }

    private Segment? OpenOrCreate(int segmentId)
    {
        if (_segments.TryGetValue(segmentId, out Segment? segment)) return segment;
        lock (_creating)
        {
            if (segmentId < _removedBelow || _stopped) return null;
            if (_segments.TryGetValue(segmentId, out segment)) return segment;
            RemoveThrough(segmentId - _segmentsMax);
            string path = Path.Combine(_directory, FilePrefix + segmentId);
            SafeFileHandle handle = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read);
            segment = new Segment(path, handle, _openDirect(path), (int)(SegmentSize / BlockBytes));
            _segments[segmentId] = segment;
            return segment;
        }
    }

    /// <summary>Deletes the segments up to <paramref name="last"/> for good. Called under the lock.</summary>
    private void RemoveThrough(int last)
    {
        _removedBelow = Math.Max(_removedBelow, last + 1);
        foreach (int segment in _segments.Keys)
        {
            if (segment <= last && _segments.TryRemove(segment, out Segment? removed)) Delete(removed);
        }
    }

    private void Fail(Exception fault)
    {
        _stopped = true;
        DeleteAll();
        _onFailure(fault);
    }

    private void DeleteAll()
    {
        lock (_creating)
        {
            foreach (int segment in _segments.Keys)
            {
                try
                {
                    if (_segments.TryRemove(segment, out Segment? removed)) Delete(removed);
                }
                catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
                {
                    // The cache is off already; the next start deletes what is left.
                }
            }
        }
    }

    private static void Delete(Segment segment)
    {
        segment.Dispose();
        File.Delete(segment.Path);
    }

    private sealed class Segment(string path, SafeFileHandle handle, SafeFileHandle? direct, int blocks) : IDisposable
    {
        // Zero says "never written"; a checksum that happens to be zero is kept as one.
        private readonly uint[] _sums = new uint[blocks];
        private bool _isDirect = direct is not null;
        private long _length;

        public string Path { get; } = path;

        public SafeFileHandle Handle { get; } = handle;

        public long Length => Volatile.Read(ref _length);

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            if (_isDirect)
            {
                try
                {
                    RandomAccess.Write(direct!, bytes, offset);
                    return;
                }
                catch (IOException)
                {
                    // File systems have rules of their own for such writes; whether the disk is to blame shows next.
                    _isDirect = false;
                }
            }

            RandomAccess.Write(Handle, bytes, offset);
        }

        public void Dispose()
        {
            Handle.Dispose();
            direct?.Dispose();
        }

        public void Record(long offset, ReadOnlySpan<byte> bytes)
        {
            int block = (int)(offset / BlockBytes);
            for (int at = 0; at < bytes.Length; at += BlockBytes)
                Volatile.Write(ref _sums[block++], Sum(bytes.Slice(at, BlockBytes)));

            long end = offset + bytes.Length;
            for (long seen = Length; seen < end; seen = Length)
            {
                if (Interlocked.CompareExchange(ref _length, end, seen) == seen) break;
            }
        }

        public void ClearWhatDiffers(long offset, Span<byte> bytes)
        {
            int block = (int)(offset / BlockBytes);
            for (int at = 0; at < bytes.Length; at += BlockBytes, block++)
            {
                Span<byte> content = bytes.Slice(at, BlockBytes);
                if (block >= _sums.Length || Sum(content) != Volatile.Read(ref _sums[block])) content.Clear();
            }
        }

        private static uint Sum(ReadOnlySpan<byte> block)
        {
            uint crc = ~0u;
            foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(block)) crc = BitOperations.Crc32C(crc, word);
            return Math.Max(crc, 1);
        }
    }

    /// <summary>One transfer between a FASTER page and a file; reads are items of the thread pool.</summary>
    private sealed class Transfer(
        FrameCacheDevice device, bool isWrite, int segment, long offset, nint memory, int length,
        DeviceIOCompletionCallback callback, object context) : IThreadPoolWorkItem
    {
        public unsafe void Execute()
        {
            try
            {
                Move(new Span<byte>((void*)memory, length));
                callback(0, (uint)length, context);
            }
            catch (Exception fault)
            {
                // Nothing that FASTER does with a cache's bytes is worth the process.
                device.Fail(fault);
            }
            finally
            {
                device.End(isWrite);
            }
        }

        private void Move(Span<byte> bytes)
        {
            try
            {
                if (isWrite) device.Write(segment, offset, bytes);
                else device.Read(segment, offset, bytes);
            }
            catch (ObjectDisposedException)
            {
                // The segment was evicted meanwhile.
                if (!isWrite) bytes.Clear();
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                if (!isWrite) bytes.Clear();
                device.Fail(fault);
            }
        }
    }
}
